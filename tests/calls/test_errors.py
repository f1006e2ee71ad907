"""Failed calls: one exception for every transport, time limits, and requests that are sent once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from seldon_spec import CallFailed, CallTimeout, Client, NoConnection
from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.model import ServerSpec, TlsSpec
from seldon_spec.errors import ComponentFailed, SeldonSpecError
from tests.calls.conftest import CA, CERTIFICATES, TOKEN
from tests.remote.peers import GrpcPeer, HttpPeer, respond

Connect = Callable[..., Client]
Sources = dict[str, tuple[Any, dict[str, Any]]]
HttpPeers = Callable[..., HttpPeer]
GrpcPeers = Callable[..., GrpcPeer]

PROTOCOLS: tuple[Any, ...] = ("auto", "seldon", "v2")
TARGETS = ["rest", "grpc", "https", "grpcs", "process"]
REFUSING = b'{"status": {"status": 1, "code": 7, "info": "no", "reason": "MINE"}}'


def fail(client: Client, data: Any, **options: Any) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        client.predict(data, **options)
    return caught.value


@pytest.mark.parametrize("target", TARGETS)
def test_an_exception_of_the_class(target: str, connect: Connect) -> None:
    error = fail(connect(target, "seldon"), "broken", request_id="my-request")
    assert (error.http_status, error.grpc_code, error.reason) == (500, "UNKNOWN", "MICROSERVICE_INTERNAL_ERROR")
    assert (error.info, error.code, error.request_id) == ("the model is broken", -1, "my-request")
    assert str(error) == "the model is broken [HTTP 500, UNKNOWN, MICROSERVICE_INTERNAL_ERROR]"
    assert fail(connect(target, "seldon"), "broken").request_id not in ("my-request", None)


@pytest.mark.parametrize("target", ["rest", "https", "process"])
def test_an_exception_with_a_status(target: str, connect: Connect) -> None:
    error = fail(connect(target, "seldon"), "teapot")
    assert (error.http_status, error.reason, error.info) == (418, "TEAPOT", "no coffee")


@pytest.mark.parametrize("target", ["rest", "grpc", "process"])
def test_an_exception_with_the_status_of_an_unknown_path(target: str, connect: Connect) -> None:
    """The server has Seldon's protocol, so the model is called once, and the protocol stays."""
    client = connect(target)
    count = len(client.predict("calls"))
    error = fail(client, "missing")
    assert (error.http_status if target != "grpc" else error.grpc_code) in (404, "UNKNOWN")
    assert len(client.predict("calls")) == count + 1
    assert client.protocol != "v2"


def test_the_exception_of_the_class_is_the_cause_in_this_process(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(fail(connect("process"), "broken").__cause__, ValueError)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []  # the caller has it


@pytest.mark.parametrize("protocol", ["seldon", "v2"])
@pytest.mark.parametrize("target", ["rest", "grpc", "process"])
def test_a_request_that_is_not_as_declared(
    target: str, protocol: Any, tmp_path: Path, serve_in_thread: Callable[..., AbstractContextManager[Any]]
) -> None:
    (tmp_path / "Model.py").write_text("class Model:\n    def predict(self, X, names):\n        return X\n")
    (tmp_path / "seldon.yaml").write_text(
        "class_name: Model\ninputs:\n- {name: x, datatype: FP64, shape: [-1, 2], maximum: 10}\n"
    )
    inputs = (TensorSpec("x", "FP64", (-1, 2), maximum=10),)
    with serve_in_thread(tmp_path, "Model", inputs=inputs) as server:
        sources = {"rest": f"http://127.0.0.1:{server.http_port}", "grpc": f"grpc://127.0.0.1:{server.grpc_port}"}
        with Client(sources.get(target, tmp_path), protocol=protocol) as client:
            assert client.predict(np.array([[1.0, 2.0]])).tolist() == [[1, 2]]
            error = fail(client, np.array([[1.0, 11.0]]))
    assert (error.http_status, error.grpc_code) == (400, "INVALID_ARGUMENT")
    assert error.reason == ("MICROSERVICE_BAD_DATA" if protocol == "seldon" else None)
    assert "10" in error.info


@pytest.mark.parametrize("token", [None, "wrong"])
@pytest.mark.parametrize("target", ["https", "grpcs"])
def test_a_wrong_token(target: str, token: str | None, sources: Sources) -> None:
    with Client(sources[target][0], ca=CA, token=token) as client:
        error = fail(client, "x")
    assert (error.http_status, error.grpc_code) == (401, "UNAUTHENTICATED")
    assert error.reason == "MICROSERVICE_UNAUTHENTICATED"


@pytest.mark.parametrize("target", ["https", "grpcs"])
def test_an_unknown_authority(target: str, sources: Sources) -> None:
    with Client(sources[target][0], token=TOKEN) as client:
        assert isinstance(fail(client, "x", timeout=20), NoConnection)


@pytest.mark.parametrize("target", ["rest", "grpc"])
def test_a_client_certificate(
    target: str, model_folder: Path, serve_in_thread: Callable[..., AbstractContextManager[Any]]
) -> None:
    files = [str(CERTIFICATES / name) for name in ("server.pem", "server-key.pem", "ca.pem")]
    certificate, key = CERTIFICATES / "client.pem", CERTIFICATES / "client-key.pem"
    with serve_in_thread(model_folder, "Model", server=ServerSpec(host="127.0.0.1", tls=TlsSpec(*files))) as server:
        port = server.http_port if target == "rest" else server.grpc_port
        url = f"{'https' if target == 'rest' else 'grpcs'}://127.0.0.1:{port}"
        with Client(url, ca=CA, certificate=certificate, key=key) as client:
            assert client.predict("x") == "x"
        with Client(url, ca=CA, timeout=20) as client:
            assert isinstance(fail(client, "x"), NoConnection)


def test_an_unknown_path(sources: Sources) -> None:
    for protocol in PROTOCOLS:
        with Client(f"{sources['rest'][0]}/elsewhere", protocol=protocol, model="model") as client:
            assert fail(client, "x").http_status == 404
    with Client(f"{sources['rest'][0]}/v2/models/other") as client:
        error = fail(client, "x")
    assert (error.http_status, error.reason) == (404, None)
    assert "unknown model 'other'" in error.info


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_refused_connection(scheme: str, reserve_ports: Callable[[int], AbstractContextManager[list[int]]]) -> None:
    with reserve_ports(1) as (port,), Client(f"{scheme}://127.0.0.1:{port}") as client:
        error = fail(client, "x")
        assert isinstance(error, NoConnection)
        assert str(error).startswith(f"no response from 127.0.0.1:{port}: ")
        assert not client.ready()
        with pytest.raises(CallTimeout, match=r"was not ready within 0\.3 seconds: no response from"):
            client.wait_ready(0.3)


def test_a_timeout_over_rest(http_peer: HttpPeers) -> None:
    peer = http_peer(lambda peer, _: peer.release.wait())
    with Client(peer.url, timeout=0.5) as client:
        error = fail(client, "x")
    assert isinstance(error, CallTimeout)
    assert str(error) == f"no response from 127.0.0.1:{peer.port} within 0.5 seconds"
    assert peer.received.wait(20)
    assert (error.http_status, len(peer.posts)) == (504, 1)


def test_a_timeout_over_grpc(grpc_peer: GrpcPeers) -> None:
    release = threading.Event()
    peer = grpc_peer(lambda message, _: release.wait() and message)
    with Client(peer.url) as client:
        error = fail(client, "x", timeout=1)
        assert peer.received.wait(20)
    release.set()
    assert isinstance(error, CallTimeout)
    assert len(peer.calls) == 1


def test_a_timeout_in_this_process() -> None:
    release = threading.Event()

    class Slow:
        def predict(self, X: Any, names: Any) -> Any:  # noqa: ARG002, N803
            return str(release.wait())

    with Client(Slow) as client:
        assert isinstance(fail(client, "x", timeout=0.1), CallTimeout)
        release.set()
        assert client.predict("x") == "True"


def test_a_call_waits_for_a_free_connection(http_peer: HttpPeers) -> None:
    peer = http_peer(lambda peer, connection: peer.release.wait() and connection.sendall(respond()))
    with Client(peer.url, max_connections=1) as client:
        first: list[str] = []
        thread = threading.Thread(target=lambda: first.append(client.predict("x")))
        thread.start()
        assert peer.received.wait(20)
        assert isinstance(fail(client, "y", timeout=0.2), CallTimeout)
        assert len(peer.posts) == 1
        peer.release.set()
        thread.join(20)
    assert first == ["fine"]


def test_no_second_request_after_bytes_were_sent(http_peer: HttpPeers) -> None:
    peer = http_peer(lambda _, connection: connection.close())
    with Client(peer.url) as client:
        error = fail(client, "x")
    assert isinstance(error, NoConnection)
    assert "closed the connection before" in str(error)
    assert len(peer.posts) == 1


def test_a_connection_that_the_server_has_closed_is_replaced(http_peer: HttpPeers) -> None:
    def respond_and_close(_peer: HttpPeer, connection: Any) -> None:
        connection.sendall(respond())
        connection.close()

    peer = http_peer(respond_and_close)
    with Client(peer.url) as client:
        for _ in range(3):
            peer.closed.clear()
            assert client.predict("x") == "fine"
            assert peer.closed.wait(20)
    assert len(peer.posts) == 3


def test_no_second_request_after_an_error_of_the_server(http_peer: HttpPeers) -> None:
    peer = http_peer(lambda _, connection: connection.sendall(respond(REFUSING, "503 Service Unavailable")))
    with Client(peer.url) as client:
        error = fail(client, "x")
    assert (type(error), error.http_status, error.grpc_code) == (CallFailed, 503, "UNAVAILABLE")
    assert (error.info, error.reason, error.code) == ("no", "MINE", 7)
    assert len(peer.posts) == 1


def test_no_second_call_after_an_error_of_the_server(grpc_peer: GrpcPeers) -> None:
    peer = grpc_peer(lambda _, context: context.abort(grpc.StatusCode.UNAVAILABLE, "not now"))
    with Client(peer.url) as client:
        error = fail(client, "x")
    assert (type(error), error.grpc_code, error.info) == (CallFailed, "UNAVAILABLE", "not now")
    assert len(peer.calls) == 1


@pytest.mark.parametrize("target", ["rest", "grpc", "process"])
def test_a_closed_client(target: str, sources: Sources) -> None:
    source, options = sources[target]
    client = Client(source, **options)
    assert client.predict("x") == "x"
    client.close()
    assert "the client was closed" in str(fail(client, "x"))


def test_a_response_that_is_none(http_peer: HttpPeers) -> None:
    peer = http_peer(lambda _, connection: connection.sendall(respond(b"<html>")))
    with Client(peer.url) as client:
        error = fail(client, "x")
    assert "is no message of Seldon's protocol" in str(error)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Client("ftp://host"), SeldonSpecError, "is not the URL of a server"),
        (lambda: Client("http://host", factor=2), TypeError, "parameters are for a class, not for a URL: factor"),
        (lambda: Client(7), TypeError, "takes a URL, a path, a Spec or a class, not 'int'"),  # type: ignore[arg-type]
        (lambda: Client("http://host", token="a\nb"), ValueError, "characters that a header cannot contain"),
        (lambda: Client("http://host", headers={"a b": "c"}), ValueError, "characters that a header cannot contain"),
        (lambda: Client("http://host", token="a", headers={"Authorization": "b"}), ValueError, "only one of them"),
        (lambda: Client("grpc://host", headers={"x-bin": "a"}), ValueError, "no text metadata with the name 'x-bin'"),
        (lambda: Client("grpc://host", headers={"x!": "a"}), ValueError, "no text metadata with the name 'x!'"),
        (lambda: Client("https://host", key="key.pem"), ValueError, "requires both certificate and key"),
        (lambda: Client("https://host", ca="no-such.pem"), SeldonSpecError, "no-such.pem cannot be read"),
        (lambda: Client("no/such/folder"), SeldonSpecError, "no/such/folder"),
        (lambda: Client(object, protocol="v3"), ValueError, "auto, seldon or v2"),  # type: ignore[arg-type]
        (lambda: Client(object, protocol="seldon").infer([1]), ValueError, "Seldon's protocol has no infer"),
        (lambda: Client(object, protocol="v2").route([1]), ValueError, "Open Inference Protocol has no route"),
        (lambda: Client(object, protocol="v2").feedback([1], 1), ValueError, "Protocol has no feedback"),
        (lambda: Client(object).call("train", [1]), ValueError, "no operation 'train'"),  # type: ignore[arg-type]
    ],
    ids=[
        *("scheme", "parameters", "type", "token", "header", "two-credentials", "binary-metadata", "metadata"),
        *("key", "ca", "folder", "protocol"),
        *("infer", "route", "feedback", "operation"),
    ],
)
def test_wrong_arguments(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def test_a_class_that_cannot_be_built(model_folder: Path) -> None:
    def broken() -> Any:
        raise OSError("no weights")

    with pytest.raises(ComponentFailed, match="no weights") as caught:
        Client(broken)
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(TypeError, match="parameters are for a class"):
        Client(model_folder, factor=2)
