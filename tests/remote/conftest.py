"""Fixtures that start servers and connect components to them."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import grpc
import pytest

from tests.remote.peers import Connect, Context, GrpcPeer, HttpPeer, LogWait, connecting, working_on


@pytest.fixture
def http_peer() -> Iterator[Callable[..., HttpPeer]]:
    with contextlib.ExitStack() as stack:

        def start(
            script: Callable[[HttpPeer, socket.socket], object], pages: Mapping[str, bytes] | None = None
        ) -> HttpPeer:
            peer = HttpPeer(script, pages or {})
            stack.callback(peer.stop)
            return peer

        yield start


@pytest.fixture
def grpc_peer() -> Iterator[Callable[..., GrpcPeer]]:
    with contextlib.ExitStack() as stack:

        def start(handle: Callable[[bytes, grpc.ServicerContext], bytes], port: int = 0) -> GrpcPeer:
            peer = GrpcPeer(handle, port)
            stack.callback(peer.stop)
            return peer

        yield start


@pytest.fixture
def connect_to() -> Iterator[Connect]:
    with contextlib.ExitStack() as stack:
        yield lambda url, **more: stack.enter_context(connecting(url, **more))


@pytest.fixture
def log() -> Iterator[LogWait]:
    """What the readiness monitors log."""
    logger = logging.getLogger("seldon_spec.remote.readiness")
    handler, level = LogWait(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.fixture
def in_context() -> Callable[..., AbstractContextManager[None]]:
    """Run a part of a test as the request with this ID, these headers and this deadline."""

    def enter(
        id: str = "id-1",  # noqa: A002
        headers: Mapping[bytes, bytes] | None = None,
        deadline: float | None = None,
    ) -> AbstractContextManager[None]:
        context = Context(id, headers)
        return working_on(context if deadline is None else context.with_deadline(deadline))

    return enter


@pytest.fixture(scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with the module Model.py of this text."""

    def make(source: str) -> Path:
        folder = tmp_path_factory.mktemp("model")
        (folder / "Model.py").write_text(source)
        return folder

    return make
