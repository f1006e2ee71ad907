"""The ASGI application without a server: what a server does that cancels the task of a client that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from seldon_spec.server.uvicorn_engine.http import TARGET, AsgiApp
from seldon_spec.transport.http1.messages import RequestCycle, RequestHead


class Waiting:
    """An ``HttpApp`` that never responds."""

    max_body_bytes = 100

    def __init__(self) -> None:
        self.begun, self.gone = asyncio.Event(), False

    def find_handler(self, _head: RequestHead) -> Waiting:
        return self

    def begin(self, cycle: RequestCycle) -> None:
        cycle.on_gone = self._end
        self.begun.set()

    def _end(self) -> None:
        self.gone = True


async def _cancel() -> bool:
    app: Any = Waiting()
    events = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        if events:
            return events.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_event: MutableMapping[str, Any]) -> None:
        raise AssertionError

    scope = {
        "type": "http",
        "method": "POST",
        "http_version": "1.1",
        "headers": [(b"host", b"localhost")],
        "state": {TARGET: b"/predict"},
    }
    task = asyncio.ensure_future(AsgiApp(app)(scope, receive, send))
    await asyncio.wait_for(app.begun.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gone: bool = app.gone
    return gone


def test_the_call_of_a_cancelled_request_is_cancelled() -> None:
    assert asyncio.run(_cancel())
