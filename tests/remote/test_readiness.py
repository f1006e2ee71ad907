"""When a component is ready, what it knows of its model, and the files and tokens that it needs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from seldon_spec.client import BadData
from seldon_spec.config.model import AuthSpec, ComponentSpec, SecretRef, ServerSpec, ServiceType, TlsSpec
from seldon_spec.errors import RemoteFailed, SeldonSpecError
from seldon_spec.inference.message import Operation
from seldon_spec.remote.component import connect
from tests.remote.peers import Connect, GrpcPeer, HttpPeer, LogWait, respond

TLS = Path(__file__).parent.parent / "tls"

MODEL = """
class Model:
    def predict(self, X, names):
        return X

    def init_metadata(self):
        return {"name": "iris", "versions": ["3"], "platform": "own",
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}
"""

schemes = pytest.mark.parametrize("scheme", ["http", "grpc"])


def url_of(running: Any, scheme: str) -> str:
    return f"{scheme}://127.0.0.1:{running.grpc_port if scheme.startswith('grpc') else running.http_port}"


@schemes
def test_a_server_of_ours(
    serve_in_thread: Any, make_folder: Any, connect_to: Connect, log: LogWait, scheme: str
) -> None:
    with serve_in_thread(make_folder(MODEL), "Model") as running:
        remote = connect_to(url_of(running, scheme))
        log.wait_for("component iris: the server 127.0.0.1:")
        assert remote.component.is_ready
        assert remote.component.describe_state() == "ready"
        metadata = remote.component.metadata
        assert metadata is not None
        assert metadata["name"] == "iris"
        assert metadata["versions"] == ["3"]
        assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
        found = remote.call(b"", Operation.METADATA).message.payload
        assert found == metadata
    log.wait_for("component iris is not ready: ")
    assert not remote.component.is_ready


def test_a_server_that_is_not_ready_yet(http_peer: Callable[..., HttpPeer], connect_to: Connect, log: LogWait) -> None:
    busy = b'{"status": {"info": "loading the model", "code": -1, "reason": "X", "status": 1}}'
    peer = http_peer(lambda *_: None, {"/ready": respond(busy, "503 Busy")})
    component = connect_to(peer.url).component
    log.wait_for("component iris is not ready: loading the model")
    assert not component.is_ready
    assert component.metadata is None
    assert component.describe_state() == "component iris is not ready: loading the model"
    peer.pages |= {"/metadata": respond(b'{"name": "m"}'), "/ready": respond()}
    log.wait_for("is ready")
    assert component.is_ready
    assert component.metadata == {"name": "m"}
    peer.pages |= {"/metadata": respond(b"[1]"), "/ready": respond(busy, "503 Busy")}
    log.wait_for("loading the model")
    assert not component.is_ready
    peer.pages["/ready"] = respond()
    log.wait_for("is ready")
    assert component.metadata is None


PAGES: dict[str, tuple[dict[str, bytes], bool]] = {
    "ready": ({"/ready": respond(b"ready")}, True),
    "only a ping": ({"/health/ping": respond(b"pong")}, True),
    "a ping that fails": ({"/health/ping": respond(b"", "500 Error")}, False),
    "none of them": ({}, True),
    "metadata that are nested too deeply": ({"/ready": respond(), "/metadata": respond(b'{"a":' * 100_000)}, True),
}


@pytest.mark.parametrize("name", PAGES)
def test_foreign_servers(http_peer: Callable[..., HttpPeer], connect_to: Connect, log: LogWait, name: str) -> None:
    pages, is_ready = PAGES[name]
    remote = connect_to(http_peer(lambda *_: None, pages).url, token="a-secret")
    log.wait_for("is ready" if is_ready else "is not ready")
    assert remote.component.is_ready is is_ready


def test_a_foreign_server_of_grpc(grpc_peer: Callable[..., GrpcPeer], connect_to: Connect, log: LogWait) -> None:
    def handle(message: bytes, _context: grpc.ServicerContext) -> bytes:
        return message

    remote = connect_to(grpc_peer(handle).url)
    log.wait_for("is ready")
    assert remote.component.is_ready
    assert remote.component.metadata is None


@schemes
def test_a_server_that_does_not_exist(reserve_ports: Any, connect_to: Connect, log: LogWait, scheme: str) -> None:
    with reserve_ports(1) as (port,):
        remote = connect_to(f"{scheme}://127.0.0.1:{port}")
        log.wait_for(f"component iris is not ready: no response from 127.0.0.1:{port}: ")
        assert not remote.component.is_ready


def test_every_component_has_one_thread_until_it_is_closed(
    http_peer: Callable[..., HttpPeer], connect_to: Connect
) -> None:
    peer = http_peer(lambda *_: None)
    components = [connect_to(peer.url).component for _ in range(3)]

    def count() -> int:
        return sum(thread.name == "seldon-spec-remote-iris" for thread in threading.enumerate())

    assert count() == 3
    for component in components:
        component.close()
    assert count() == 0


# Tokens and TLS


@schemes
def test_tokens(serve_in_thread: Any, make_folder: Any, connect_to: Connect, log: LogWait, scheme: str) -> None:
    server = ServerSpec(host="127.0.0.1", auth=AuthSpec(("right-token",)))
    with serve_in_thread(make_folder(MODEL), "Model", server=server) as running:
        right = connect_to(url_of(running, scheme), token="right-token")
        log.wait_for("is ready")
        assert right.call().message.payload == "fine"
        assert right.component.metadata is not None
        for token in ("wrong-token", None):
            with pytest.raises(RemoteFailed) as caught:
                connect_to(url_of(running, scheme), token=token).call()
            assert (caught.value.http, caught.value.grpc) == (401, "UNAUTHENTICATED")


@pytest.fixture
def tls_server(serve_in_thread: Any, make_folder: Any) -> Any:
    tls = TlsSpec(certificate=str(TLS / "server.pem"), key=str(TLS / "server-key.pem"))
    with serve_in_thread(make_folder(MODEL), "Model", server=ServerSpec(host="127.0.0.1", tls=tls)) as running:
        yield running


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_tls(tls_server: Any, connect_to: Connect, log: LogWait, scheme: str) -> None:
    remote = connect_to(url_of(tls_server, scheme), ca="../tls/ca.pem")
    log.wait_for("is ready")
    for _ in range(3):
        assert remote.call().message.payload == "fine"
    large = b'{"strData": "%s"}' % (b"x" * 3_000_000)
    assert len(remote.call(large).message.payload) == 3_000_000


@pytest.mark.parametrize(("scheme", "ca"), [("https", None), ("https", "../tls/client.pem"), ("grpcs", None)])
def test_a_certificate_that_is_not_trusted(
    tls_server: Any, connect_to: Connect, log: LogWait, scheme: str, ca: str | None
) -> None:
    remote = connect_to(url_of(tls_server, scheme), ca=ca, timeout_seconds=20)
    log.wait_for("component iris is not ready: no response from 127.0.0.1:")
    with pytest.raises(RemoteFailed) as caught:
        remote.call()
    assert (caught.value.http, caught.value.grpc) == (503, "UNAVAILABLE")
    if scheme == "https":
        assert "its certificate is not trusted: " in str(caught.value)
        assert "_ssl.c" not in str(caught.value)


def test_a_server_without_tls(serve_in_thread: Any, make_folder: Any, connect_to: Connect) -> None:
    with serve_in_thread(make_folder(MODEL), "Model") as running:
        address = f"127.0.0.1:{running.http_port}"
        with pytest.raises(RemoteFailed, match=f"no response from {address}: TLS failed: ") as caught:
            connect_to(f"https://{address}").call()
    assert "_ssl.c" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "more", "text"),
    [
        ("https://x", {"ca": "missing.pem"}, "missing.pem cannot be read"),
        ("https://x", {"ca": "peers.py"}, "peers.py contains no certificate"),
        ("grpcs://x", {"ca": "missing.pem"}, "missing.pem cannot be read"),
        ("http://x", {"token": "two\r\nlines"}, r"components\.iris\.token"),
        ("http://x", {"token": SecretRef(from_env="TOKEN")}, r"components\.iris\.token"),
        ("ftp://x", {}, "is not the URL of a server"),
    ],
)
def test_what_cannot_be_used(url: str, more: Any, text: str) -> None:
    with pytest.raises(SeldonSpecError, match=text):
        connect("iris", ComponentSpec(ServiceType.MODEL, url=url, **more), Path(__file__).parent)
    assert issubclass(BadData, SeldonSpecError)
