"""From the event loop to the Flask app: whole requests in, whole answers out.

The loop reads the body, so a slow client holds no thread. The app runs in one of two pools of threads: one for the
paths that wait for the model, and a small one for probes, which therefore answer while the first is full.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeAlias

from seldon_spec.errors import NotServing, RequestError, RequestTimeout, TooLarge
from seldon_spec.payload.json_style import JsonStyle
from seldon_spec.server.asgi import Receive, Scope, Send, find_header, send_answer
from seldon_spec.server.rest import ARRIVED, PING, PROBES, failure_answer
from seldon_spec.server.status import describe

logger = logging.getLogger(__name__)

_MODEL_LANE = 64
_PROBE_LANE = 4
_DISCARD_SECONDS = 2.0
_DISCARD_BYTES = 64 << 20

Environ: TypeAlias = dict[str, Any]
Answer: TypeAlias = tuple[str, list[tuple[str, str]], bytes]


class WsgiApp(Protocol):
    """A WSGI application."""

    def __call__(self, environ: Any, start_response: Any, /) -> Iterable[bytes]:
        """Answer one request."""


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


class Bridge:
    """An ASGI application that runs a WSGI one.

    Args:
        app: the application.
        max_body_bytes: longer bodies are refused, whatever length they were announced with.
        style: how a refusal is written.
        timeout_seconds: what takes longer, counted from when the whole request was there, is refused.
    """

    def __init__(
        self, app: WsgiApp, max_body_bytes: int, style: JsonStyle, timeout_seconds: float | None = None
    ) -> None:
        self._app = app
        self._timeout_seconds = timeout_seconds
        self._max_body_bytes = max_body_bytes
        self._style = style
        self._model_lane = ThreadPoolExecutor(_MODEL_LANE, "seldon-spec-rest")
        self._probe_lane = ThreadPoolExecutor(_PROBE_LANE, "seldon-spec-probe")
        self._under_way = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._is_draining = False
        self._has_begun = asyncio.Event()
        self._is_aborted = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] == PING:
            # As in the original, a pong means that the model is loaded: until then it is waited for.
            await self._has_begun.wait()
        if self._is_aborted:
            await _await_disconnect(receive)  # no answer: the connection is about to be cut
            return
        if scope["path"] in PROBES:
            await self._answer(self._probe_lane, scope, receive, send)
        elif self._is_draining:
            await self._refuse(NotServing("the server is stopping"), receive, send)
        else:
            self._under_way += 1
            self._is_idle.clear()
            try:
                await self._answer(self._model_lane, scope, receive, send)
            finally:
                self._under_way -= 1
                if not self._under_way:
                    self._is_idle.set()

    def begin(self, app: WsgiApp | None = None) -> None:
        """The model is loaded; from now on another application may answer, one that knows it."""
        self._app = app or self._app
        self._has_begun.set()

    def abort(self) -> None:
        """It will never be; what waits for it, and what still comes, gets no answer."""
        self._is_aborted = True
        self._has_begun.set()

    async def drain(self) -> None:
        """Refuse new requests, except probes, and wait for those under way."""
        self._is_draining = True
        await self._is_idle.wait()

    def close(self) -> None:
        """Let the threads go; does not wait for them."""
        for lane in (self._model_lane, self._probe_lane):
            lane.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, lane: ThreadPoolExecutor, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._read_body(scope, receive)
            status, headers, content = await self._run_in_time(lane, _environ(scope, body))
        except ClientGone:
            return
        except (TooLarge, RequestTimeout) as error:
            await self._refuse(error, receive, send)
            return
        if self._is_aborted:
            await _await_disconnect(receive)
            return
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": int(status.split(" ", 1)[0]), "headers": raw})
        await send({"type": "http.response.body", "body": content})

    async def _run_in_time(self, lane: ThreadPoolExecutor, environ: Environ) -> Answer:
        """Have the application answer, once it can and a thread is free.

        Raises:
            RequestTimeout: that was not in time; what has not been begun never will be.
        """
        if self._timeout_seconds is None:
            return await self._run(lane, environ)
        try:
            return await asyncio.wait_for(self._run(lane, environ), self._timeout_seconds)
        except asyncio.TimeoutError as error:
            raise RequestTimeout(f"no answer within {self._timeout_seconds} seconds") from error

    async def _run(self, lane: ThreadPoolExecutor, environ: Environ) -> Answer:
        arrived = time.monotonic()
        if environ["PATH_INFO"] not in PROBES and not self._has_begun.is_set():
            await self._has_begun.wait()  # the application that will answer may be another one
        return await asyncio.get_running_loop().run_in_executor(lane, _run, self._app, environ, arrived)

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes:
        length = find_header(scope, b"content-length")
        if length is not None and int(length) > self._max_body_bytes:
            raise TooLarge(self._too_large())
        chunks: list[bytes] = []
        size = 0
        async for chunk in _chunks(receive):
            size += len(chunk)
            if size > self._max_body_bytes:
                raise TooLarge(self._too_large())
            chunks.append(chunk)
        return b"".join(chunks)

    def _too_large(self) -> str:
        return f"the body is larger than server.max_body_bytes, {self._max_body_bytes}"

    async def _refuse(self, error: RequestError, receive: Receive, send: Send) -> None:
        """Answer without the app, and close the connection.

        What the client is still sending is read and dropped for a while: a connection that is closed on unread bytes
        is reset, and the client would never see the answer.
        """
        status, content_type, body = failure_answer(describe(error), self._style)
        headers = [(b"connection", b"close"), (b"access-control-allow-origin", b"*")]
        await send_answer(send, status, content_type, body, headers, is_last=False)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_discard(receive), _DISCARD_SECONDS)
        await send({"type": "http.response.body", "body": b""})


async def _chunks(receive: Receive) -> Any:
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        yield event.get("body", b"")
        more = event.get("more_body", False)


async def _discard(receive: Receive) -> None:
    """Read and drop the rest of a request, up to a bound."""
    size = 0
    with contextlib.suppress(ClientGone):
        async for chunk in _chunks(receive):
            size += len(chunk)
            if size > _DISCARD_BYTES:
                return


async def _await_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _environ(scope: Scope, body: bytes) -> Environ:
    """The WSGI environment of a request whose body has been read."""
    server = scope.get("server") or ("", None)
    client = scope.get("client") or ("", None)
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0] or "",
        "SERVER_PORT": str(server[1] or ""),
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        _add_header(environ, raw_name.decode("latin-1"), raw_value.decode("latin-1"))
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # it has been undone
    return environ


def _add_header(environ: Environ, name: str, value: str) -> None:
    if "_" in name:  # it would be taken for the header that has a dash in that place
        return
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    environ[key] = f"{environ[key]},{value}" if key in environ else value


def _run(app: WsgiApp, environ: Environ, arrived: float) -> Answer:
    """Run the application to the end of its answer."""
    ARRIVED.set(arrived)
    head: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        head[:] = [(status, headers)]
        return written.append

    written: list[bytes] = []
    chunks = app(environ, start_response)
    try:
        written.extend(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status, headers = head[0]
    return status, headers, b"".join(written)
