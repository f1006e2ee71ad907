"""A client of a running server: one message over REST or gRPC, and the readiness check."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, urlsplit

from seldon_spec.config.model import Spec
from seldon_spec.config.paths import decode_text
from seldon_spec.config.secret_names import mask_urls
from seldon_spec.errors import SeldonSpecError

PREDICTIONS = "/api/v1.0/predictions"
TIMEOUT_SECONDS = 300
PROBE_TIMEOUT_SECONDS = 4
MAX_DATA_BYTES = 1024 * 1024 * 1024


class BadData(SeldonSpecError):
    """DATA is not a message."""


class NoResponse(SeldonSpecError):
    """The server could not be reached, or the response is an error."""


def read_data(data: str) -> list[Any] | bytes:
    """Return the value given by DATA: a list of rows, or the JSON text of a complete request.

    Args:
        data: a JSON array of rows, a complete request as a JSON object, ``@FILE``, or ``-`` for stdin.

    Raises:
        BadData: it is none of these.
    """
    text = _read(data)
    try:
        value = json.loads(text)
    except RecursionError:
        raise BadData("DATA is nested too deeply") from None
    except ValueError as error:
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise BadData(f"DATA is not JSON: {reason}{where}") from None
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return text.encode() if isinstance(text, str) else text
    raise BadData('DATA is neither a JSON array, e.g. [[1, 2]], nor a complete message, e.g. {"strData": "text"}')


def make_message(data: list[Any] | bytes) -> bytes:
    """Return a message of Seldon's protocol for the value of ``read_data``."""
    return json.dumps({"data": {"ndarray": data}}).encode() if isinstance(data, list) else data


def _read(data: str) -> str | bytes:
    if data == "-":
        return sys.stdin.buffer.read(MAX_DATA_BYTES)
    return _read_file(Path(data[1:])) if data.startswith("@") else data


def _read_file(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_DATA_BYTES)
    except (OSError, ValueError) as error:
        raise BadData(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


@dataclass(frozen=True, slots=True)
class Credentials:
    """TLS trust and authentication of the client.

    Attributes:
        ca: a PEM file with trusted CA certificates; None for those of the system.
        token_file: a file with the bearer token.
    """

    ca: Path | None = None
    token_file: Path | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers or metadata to send.

        Raises:
            BadData: the file cannot be read.
        """
        if self.token_file is None:
            return {}
        token = decode_text(_read_file(self.token_file), "replace").strip()
        return {"authorization": f"Bearer {token.encode('ascii', 'replace').decode()}"}

    def root_certificates(self) -> bytes | None:
        """Return the certificates of ``ca``.

        Raises:
            BadData: the file cannot be read.
        """
        return None if self.ca is None else _read_file(self.ca)


def parse_url(url: str) -> SplitResult:
    """Return the parts of the URL of a server: ``http://…``, ``https://…``, ``grpc://…`` or ``grpcs://…``.

    Raises:
        NoResponse: it is not such a URL.
    """
    parts = urlsplit(url)
    try:
        is_usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable or parts.scheme not in ("http", "https", "grpc", "grpcs"):
        raise NoResponse(
            f"{mask_urls(url)} is not the URL of a server; allowed: http://HOST:PORT, or https, grpc, grpcs"
        )
    return parts


def send_message(url: str, message: bytes, credentials: Credentials = Credentials()) -> str:
    """Send a message of Seldon's protocol to a server; return the response as JSON text.

    Raises:
        BadData: a file of ``credentials`` cannot be read.
        NoResponse: the server cannot be reached, or the response is an error.
    """
    parts = parse_url(url)
    if parts.scheme.startswith("grpc"):
        return _send_grpc(parts, message, credentials)
    return send_rest(parts, parts.path.rstrip("/") or PREDICTIONS, message, credentials)


def send_rest(parts: SplitResult, path: str, message: bytes | None, credentials: Credentials) -> str:
    """Send a JSON body by POST, or a GET request without one; return the body of the response.

    Raises:
        NoResponse: the server cannot be reached, or the response is an error.
    """
    # http.client ignores the proxy variables: the URL is contacted directly.
    connection = _connect(parts, credentials)
    headers = credentials.headers() | ({} if message is None else {"Content-Type": "application/json"})
    status, body = _request(connection, "GET" if message is None else "POST", path, message, headers)
    text = body.decode("utf-8", "replace")
    if status != http.client.OK:
        url = mask_urls(parts._replace(path=path).geturl() if message is None else parts.geturl())
        raise NoResponse(f"{url} returned {status}: {_reason(text)}")
    return text


def _connect(parts: SplitResult, credentials: Credentials) -> http.client.HTTPConnection:
    if parts.scheme == "http":
        return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT_SECONDS)
    import ssl

    pem = credentials.root_certificates()
    try:
        context = ssl.create_default_context(cadata=None if pem is None else pem.decode("ascii", "replace"))
    except ssl.SSLError:
        raise BadData(f"{credentials.ca} contains no certificate") from None
    return http.client.HTTPSConnection(str(parts.hostname), parts.port, timeout=TIMEOUT_SECONDS, context=context)


def _request(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, bytes]:
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise NoResponse(f"no response from {connection.host}:{connection.port}: {reason}") from None
    finally:
        connection.close()


def _reason(text: str) -> str:
    """Return the reason in the body of an error of either protocol."""
    try:
        error: Any = json.loads(text)
        return str(error["error"]) if "error" in error else f"{error['status']['reason']}: {error['status']['info']}"
    except (ValueError, KeyError, TypeError):
        return text[:500]


def _send_grpc(parts: SplitResult, message: bytes, credentials: Credentials) -> str:
    from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
    from seldon_spec.protocols.seldon_v1.proto.json_form import ERRORS, message_to_tree, tree_to_message

    try:
        request = tree_to_message(json.loads(message), SeldonMessage())
    except ERRORS as error:
        raise BadData(f"DATA is not a message: {error}") from None
    response = SeldonMessage()
    with open_channel(parts, credentials) as call:
        response.ParseFromString(call("/seldon.protos.Model/Predict", request.SerializeToString()))
    return json.dumps(message_to_tree(response, is_bare=True), sort_keys=True, separators=(",", ":"))


@contextlib.contextmanager
def open_channel(parts: SplitResult, credentials: Credentials) -> Iterator[Callable[[str, bytes], bytes]]:
    """Connect to a gRPC server; yield a function that sends a message to a method and returns the response.

    Raises:
        NoResponse: by the function: the server cannot be reached, or the response is an error.
    """
    import grpc

    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    unlimited = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_http_proxy", 0),
    ]
    address = f"{host}:{parts.port or 5000}"
    metadata = tuple(credentials.headers().items())
    with (
        grpc.insecure_channel(address, options=unlimited)
        if parts.scheme == "grpc"
        else grpc.secure_channel(
            address, grpc.ssl_channel_credentials(credentials.root_certificates()), options=unlimited
        )
    ) as channel:

        def call(method: str, message: bytes) -> bytes:
            send = channel.unary_unary(method, None, None)
            try:
                response: bytes = send(message, timeout=TIMEOUT_SECONDS, metadata=metadata)
            except grpc.RpcError as error:
                url = mask_urls(parts.geturl())
                raise NoResponse(f"{url} returned {error.code().name}: {error.details()}") from None
            return response

        yield call


def check_ready(spec: Spec) -> None:
    """Ask the spec's server on this machine whether it is ready.

    Raises:
        NoResponse: it cannot be reached, or is not ready.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(spec.server.host, spec.server.host)  # noqa: S104 - compared only
    status, _ = _request(_connect_to_spec(spec, host), "GET", "/ready")
    if status != http.client.OK:
        raise NoResponse(f"{host}:{spec.ports.http} is not ready: /ready returned {status}")


def _connect_to_spec(spec: Spec, host: str) -> http.client.HTTPConnection:
    tls = spec.server.tls
    if tls is None:
        return http.client.HTTPConnection(host, spec.ports.http, timeout=PROBE_TIMEOUT_SECONDS)
    import ssl

    # The certificate is valid for the public name; this connects to a port of this host.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if tls.client_ca is not None:  # the server's own certificate may be signed by it
        context.load_cert_chain(spec.folder / tls.certificate, spec.folder / tls.key)
    return http.client.HTTPSConnection(host, spec.ports.http, timeout=PROBE_TIMEOUT_SECONDS, context=context)
