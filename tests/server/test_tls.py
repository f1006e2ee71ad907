"""TLS over real sockets: who is let in, who is cut, and how a new certificate comes to be shown."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import ssl
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.transport.tls import TlsFiles

Start = Callable[..., Any]

CERTIFICATES = Path(__file__).parent.parent / "tls"
SERVER = {"certificate": str(CERTIFICATES / "server.pem"), "key": str(CERTIFICATES / "server-key.pem")}
MUTUAL = {**SERVER, "client_ca": str(CERTIFICATES / "ca.pem")}

SERVED = """
class Served:
    def predict(self, X, names):
        return X
"""

GROWING = SERVED.replace("return X", 'return "x" * int(X)')

engines = pytest.mark.parametrize("engine", ["native", "uvicorn"])
ports = pytest.mark.parametrize("port", ["http_port", "metrics_port"])


@pytest.fixture(scope="module")
def serve(start_for_module: Start) -> Callable[..., Any]:
    """Servers by their engine and by whether clients need a certificate."""
    servers: dict[tuple[str, bool], Any] = {}

    def get(engine: str, *, is_mutual: bool = False) -> Any:
        key = engine, is_mutual
        if key not in servers:
            tls = MUTUAL if is_mutual else SERVER
            servers[key] = start_for_module(SERVED, tls=tls, server={"engine": engine}).wait_until_ready()
        return servers[key]

    return get


def trusting(certificate: str | None = None, key: str = "client-key.pem") -> ssl.SSLContext:
    """A client's context that trusts the tests' authority, and shows a certificate if it has one."""
    context = ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
    if certificate is not None:
        context.load_cert_chain(CERTIFICATES / certificate, CERTIFICATES / key)
    return context


def connect(server: Any, context: ssl.SSLContext, port: str = "http_port") -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", getattr(server, port)), 30)
    try:
        return context.wrap_socket(plain, server_hostname="127.0.0.1")
    except BaseException:
        plain.close()
        raise


def predict(server: Any, context: ssl.SSLContext, value: str = "x") -> str:
    connection = http.client.HTTPSConnection("127.0.0.1", server.http_port, timeout=30, context=context)
    try:
        connection.request("POST", "/predict", json.dumps({"strData": value}), {"Content-Type": "application/json"})
        answer: str = json.loads(connection.getresponse().read())["strData"]
        return answer
    finally:
        connection.close()


@engines
@ports
def test_a_client_that_trusts_the_authority_is_answered(serve: Any, engine: str, port: str) -> None:
    path = {"http_port": "/live", "metrics_port": "/metrics"}[port]
    with connect(serve(engine), trusting(), port) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_large_messages(serve: Any) -> None:
    value = "x" * 5_000_000
    assert predict(serve("native"), trusting(), value) == value


def test_a_client_that_does_not_trust_it_leaves_and_harms_nobody(serve: Any) -> None:
    for _ in range(10):
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(serve("native"), ssl.create_default_context()).close()
    assert predict(serve("native"), trusting()) == "x"


@ports
def test_the_language_of_the_connection_is_agreed_on(serve: Any, port: str) -> None:
    context = trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connect(serve("native"), context, port) as client:
        assert client.selected_alpn_protocol() == "http/1.1"
        assert client.version() == "TLSv1.3"


NO_TLS: dict[str, bytes] = {
    "plain HTTP": b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "garbage": bytes(range(256)) * 10,
    "a broken hello": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    "an oversized record": b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
    "nothing, and gone": b"",
}


@ports
@pytest.mark.parametrize("raw", NO_TLS.values(), ids=NO_TLS)
def test_what_is_no_tls_is_closed(serve: Any, port: str, raw: bytes) -> None:
    server = serve("native")
    with socket.create_connection(("127.0.0.1", getattr(server, port)), 30) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1" not in read_rest(client)
    assert predict(server, trusting()) == "x"


def read_rest(client: socket.socket) -> bytes:
    """Everything until the server closes, which it has to."""
    answer = b""
    try:
        while part := client.recv(65536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


@engines
def test_old_versions_of_tls_are_refused_by_the_server(serve: Any, engine: str) -> None:
    context = trusting()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else the client itself would not do it, and say so in other words
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"(?i)\balert\b|\bEOF\b"):
        connect(serve(engine), context).close()
    assert predict(serve(engine), trusting()) == "x"


def test_no_client_makes_the_server_negotiate_again() -> None:
    context = TlsFiles(Path(SERVER["certificate"]), Path(SERVER["key"]), None).make_context("http/1.1")
    assert context.options & ssl.OP_NO_RENEGOTIATION


STRANGERS = {"none": None, "out of date": ("expired.pem", "server-key.pem")}


@engines
@ports
@pytest.mark.parametrize("certificate", STRANGERS.values(), ids=STRANGERS)
def test_a_client_without_a_good_certificate_is_refused_where_one_is_needed(
    serve: Any, engine: str, port: str, certificate: tuple[str, str] | None
) -> None:
    server = serve(engine, is_mutual=True)
    context = trusting() if certificate is None else trusting(*certificate)
    answer = b""
    with suppress(ssl.SSLError, ConnectionResetError), connect(server, context, port) as client:
        client.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = client.recv(100)  # in TLS 1.3 the client learns only here what the server thinks of it
    assert answer == b""
    assert predict(server, trusting("client.pem")) == "x"


STALLS: dict[str, bytes] = {"nothing": b"", "half a hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}


@pytest.mark.parametrize("raw", STALLS.values(), ids=STALLS)
def test_a_handshake_that_stalls_is_cut(start: Start, raw: bytes) -> None:
    server = start(SERVED, tls=SERVER, server={"header_timeout_seconds": 0.5}).wait_until_ready()
    held = [socket.create_connection(("127.0.0.1", server.http_port), 30) for _ in range(200)]
    for client in held:
        client.sendall(raw)
    assert predict(server, trusting()) == "x"
    for client in held:
        assert b"HTTP/1.1" not in read_rest(client)
        client.close()
    assert server.stop() == 0
    assert "Traceback" not in server.log


def test_slow_and_idle_clients_are_cut_as_without_tls(start: Start) -> None:
    limits = {"header_timeout_seconds": 5, "body_timeout_seconds": 0.5, "keep_alive_seconds": 0.5}
    server = start(SERVED, tls=SERVER, server=limits).wait_until_ready()
    with connect(server, trusting()) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")
    with connect(server, trusting()) as client:
        assert client.recv(100) == b""
    large = json.dumps({"strData": "x" * 20_000_000}).encode()
    head = (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(large)}\r\n\r\n"
    )
    with connect(server, trusting()) as deaf:
        deaf.sendall(head.encode() + large)
        assert predict(server, trusting()) == "x"
        for _ in range(2):  # an idle connection that is made now is closed later than the deaf one is cut
            with connect(server, trusting()) as idle:
                assert idle.recv(100) == b""
        assert len(drain_tls(deaf)) < len(large)
    assert predict(server, trusting()) == "x"


def drain_tls(client: ssl.SSLSocket) -> bytes:
    answer = b""
    try:
        while part := client.recv(1 << 20):
            answer += part
    except (ssl.SSLError, ConnectionResetError):
        pass
    return answer


@engines
def test_a_new_certificate_is_shown_after_a_hangup(start: Start, tmp_path: Path, engine: str) -> None:
    own = {"certificate": "tls.pem", "key": "tls-key.pem"}
    shutil.copy(CERTIFICATES / "server.pem", tmp_path / "tls.pem")
    shutil.copy(CERTIFICATES / "server-key.pem", tmp_path / "tls-key.pem")
    server = start(SERVED, tls=own, server={"engine": engine}).wait_until_ready()
    assert shown(server) == (CERTIFICATES / "server.pem").read_text().strip()
    with connect(server, trusting()) as kept:
        shutil.copy(CERTIFICATES / "client.pem", tmp_path / "tls.pem")
        shutil.copy(CERTIFICATES / "client-key.pem", tmp_path / "tls-key.pem")
        assert shown(server) == (CERTIFICATES / "server.pem").read_text().strip()
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("replacing the workers")
        server.wait_for(r"worker 0 is ready")
        kept.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")  # the worker that goes answers what it is asked
        assert kept.recv(100)[:13] in (b"HTTP/1.1 200 ", b"")
    wait_until_shown(server, (CERTIFICATES / "client.pem").read_text().strip())
    assert server.stop() == 0


def shown(server: Any) -> str:
    return ssl.get_server_certificate(("127.0.0.1", server.http_port)).strip()


def wait_until_shown(server: Any, certificate: str) -> None:
    """Until the worker that goes takes no more connections, it still may be the one that answers."""
    end = time.monotonic() + 20
    while shown(server) != certificate:
        assert time.monotonic() < end


BROKEN = {"no certificate": "nothing", "another's key": (CERTIFICATES / "client.pem").read_text()}


@pytest.mark.parametrize("certificate", BROKEN.values(), ids=BROKEN)
def test_a_certificate_that_cannot_be_used_changes_nothing(start: Start, tmp_path: Path, certificate: str) -> None:
    own = {"certificate": "tls.pem", "key": str(CERTIFICATES / "server-key.pem")}
    shutil.copy(CERTIFICATES / "server.pem", tmp_path / "tls.pem")
    server = start(SERVED, tls=own).wait_until_ready()
    (tmp_path / "tls.pem").write_text(certificate)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("worker 0: replacement failed to start, keeping the current process")
    assert predict(server, trusting()) == "x"
    shutil.copy(CERTIFICATES / "server.pem", tmp_path / "tls.pem")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("worker 0 is ready")
    assert predict(server, trusting()) == "x"
    assert server.stop() == 0


def test_grpc_speaks_tls(serve: Any) -> None:
    credentials = grpc.ssl_channel_credentials((CERTIFICATES / "ca.pem").read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{serve('native').grpc_port}", credentials) as channel:
        call = channel.unary_unary("/seldon.protos.Model/Predict", None, None)
        assert SeldonMessage.FromString(call(SeldonMessage(strData="x").SerializeToString(), timeout=20)).strData == "x"


def test_grpc_in_plain_text_is_refused(serve: Any) -> None:
    with pytest.raises(grpc.RpcError):
        serve("native").call(SeldonMessage(strData="x").SerializeToString())


def test_an_idle_connection_makes_room_though_its_client_does_not_agree_to_close_it(start: Start) -> None:
    """TLS asks it to; a client that keeps the connection for later does not look at it until then."""
    server = start(SERVED, tls=SERVER, server={"max_connections": 2}).wait_until_ready()
    body = b'{"strData":"x"}'
    post = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    held = []
    try:
        for _ in range(80):  # more than may take their time to close
            client = connect(server, trusting())
            held.append(client)
            client.sendall(post % (len(body), body))
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    finally:
        for client in held:
            client.close()
    assert server.stop() == 0


def test_a_client_that_reads_steadily_gets_all_of_a_long_response(start: Start) -> None:
    """Most of it is in a buffer below TLS, whose size is unknown; it is read for longer than the timeout."""
    server = start(GROWING, tls=SERVER, server={"body_timeout_seconds": 1}).wait_until_ready()
    size = 8_000_000
    body = b'{"strData":"%d"}' % size
    request = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
        plain.connect(("127.0.0.1", server.http_port))
        with trusting().wrap_socket(plain, server_hostname="127.0.0.1") as client:
            client.sendall(request + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            received = 0
            pauses = 200
            while data := client.recv(16384):
                received += len(data)
                if pauses:
                    pauses -= 1
                    time.sleep(0.02)
    assert received > size
    assert server.stop() == 0


def test_long_responses_that_are_not_read_count_as_buffered(start: Start) -> None:
    """Each of them fits into the limit, and all together do not."""
    server = start(GROWING, tls=SERVER, server={"max_buffered_bytes": 40_000_000}).wait_until_ready()
    body = b'{"strData":"30000000"}'
    request = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    clients = [connect(server, trusting()) for _ in range(4)]
    try:
        for client in clients:
            client.sendall(request % (len(body), body))
            assert client.recv(9) == b"HTTP/1.1 "
        server.wait_for("server.max_buffered_bytes, 40000000, is reached")
    finally:
        for client in clients:
            client.close()
    assert server.stop() == 0
