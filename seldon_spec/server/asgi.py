"""The words of ASGI, and the two things that every application here does with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
RawHeader: TypeAlias = tuple[bytes, bytes]


def find_header(scope: Scope, name: bytes) -> bytes | None:
    """The first value of a header; ``name`` in lower case."""
    return next((value for key, value in scope["headers"] if key == name), None)


async def send_answer(
    send: Send,
    status: int,
    content_type: str,
    body: bytes,
    headers: Iterable[RawHeader] = (),
    *,
    is_head: bool = False,
    is_last: bool = True,
) -> None:
    """Send a whole answer; without ``is_last`` the exchange stays open although every byte has been sent."""
    head = [(b"content-type", content_type.encode("latin-1")), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b"" if is_head else body, "more_body": not is_last})
