"""One message to a running server, over REST or gRPC, and the question whether it is ready."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
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
ANSWER_SECONDS = 300
PROBE_SECONDS = 4
MAX_DATA_BYTES = 1024 * 1024 * 1024


class BadData(SeldonSpecError):
    """The DATA of the command line is not a message."""


class NoResponse(SeldonSpecError):
    """The server could not be asked, or refused the request."""


def read_message(data: str) -> bytes:
    """The message that DATA means, as JSON.

    Args:
        data: a JSON array of rows, a whole message as a JSON object, ``@`` with the name of a file, or ``-`` for stdin.

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
        return json.dumps({"data": {"ndarray": value}}).encode()
    if isinstance(value, dict):
        return text.encode() if isinstance(text, str) else text
    raise BadData('DATA is neither a JSON array, e.g. [[1, 2]], nor a whole message, e.g. {"strData": "text"}')


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
class Access:
    """How a server is asked that does not let everyone in.

    Attributes:
        ca: a PEM file with the certificates that the server's has to be signed by; None: those of the system.
        token_file: a file with the bearer token.
    """

    ca: Path | None = None
    token_file: Path | None = None

    def headers(self) -> dict[str, str]:
        """What is sent besides.

        Raises:
            BadData: the file cannot be read.
        """
        if self.token_file is None:
            return {}
        token = decode_text(_read_file(self.token_file), "replace").strip()
        return {"authorization": f"Bearer {token.encode('ascii', 'replace').decode()}"}

    def trusted(self) -> bytes | None:
        """The certificates of ``ca``.

        Raises:
            BadData: the file cannot be read.
        """
        return None if self.ca is None else _read_file(self.ca)


def ask_server(url: str, message: bytes, access: Access = Access()) -> str:
    """Send a message to ``http://…``, ``https://…``, ``grpc://…`` or ``grpcs://…``; the answer as JSON text.

    Raises:
        BadData: a file of ``access`` cannot be read.
        NoAnswer: there is no server, or its answer is an error.
    """
    parts = urlsplit(url)
    try:
        is_usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable or parts.scheme not in ("http", "https", "grpc", "grpcs"):
        raise NoResponse(f"{mask_urls(url)} is not a server's URL; allowed: http://HOST:PORT, or https, grpc, grpcs")
    ask = _ask_grpc if parts.scheme.startswith("grpc") else _ask_rest
    return ask(parts, message, access)


def _ask_rest(parts: SplitResult, message: bytes, access: Access) -> str:
    # No proxy of the environment stands between: a model is asked where it is said to be.
    connection = _connect(parts, access)
    path = parts.path.rstrip("/") or PREDICTIONS
    headers = {"Content-Type": "application/json", **access.headers()}
    status, body = _exchange(connection, "POST", path, message, headers)
    text = body.decode("utf-8", "replace")
    if status != http.client.OK:
        raise NoResponse(f"{mask_urls(parts.geturl())} answered {status}: {_reason(text)}")
    return text


def _connect(parts: SplitResult, access: Access) -> http.client.HTTPConnection:
    if parts.scheme == "http":
        return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=ANSWER_SECONDS)
    import ssl

    trusted = access.trusted()
    try:
        context = ssl.create_default_context(cadata=None if trusted is None else trusted.decode("ascii", "replace"))
    except ssl.SSLError:
        raise BadData(f"{access.ca} holds no certificate") from None
    return http.client.HTTPSConnection(str(parts.hostname), parts.port, timeout=ANSWER_SECONDS, context=context)


def _exchange(
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
        raise NoResponse(f"no answer from {connection.host}:{connection.port}: {reason}") from None
    finally:
        connection.close()


def _reason(text: str) -> str:
    try:
        status: Any = json.loads(text)["status"]
        return f"{status['reason']}: {status['info']}"
    except (ValueError, KeyError, TypeError):
        return text[:500]


def _ask_grpc(parts: SplitResult, message: bytes, access: Access) -> str:
    import grpc

    from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
    from seldon_spec.protocols.seldon_v1.proto.json_form import ERRORS, message_to_tree, tree_to_message

    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    try:
        request = tree_to_message(json.loads(message), SeldonMessage())
    except ERRORS as error:
        raise BadData(f"DATA is not a message: {error}") from None
    unlimited = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_http_proxy", 0),
    ]
    address = f"{host}:{parts.port or 5000}"
    with (
        grpc.insecure_channel(address, options=unlimited)
        if parts.scheme == "grpc"
        else grpc.secure_channel(address, grpc.ssl_channel_credentials(access.trusted()), options=unlimited)
    ) as channel:
        call = channel.unary_unary(
            "/seldon.protos.Model/Predict",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=SeldonMessage.FromString,
        )
        try:
            answer = call(request, timeout=ANSWER_SECONDS, metadata=tuple(access.headers().items()))
        except grpc.RpcError as error:
            raise NoResponse(f"{mask_urls(parts.geturl())} answered {error.code().name}: {error.details()}") from None
    return json.dumps(message_to_tree(answer, is_bare=True), sort_keys=True, separators=(",", ":"))


def check_ready(spec: Spec) -> None:
    """Ask the spec's server on this machine whether it is ready.

    Raises:
        NoAnswer: it is not there, or not ready.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(spec.server.host, spec.server.host)  # noqa: S104 - compared only
    status, _ = _exchange(_connect_to_own(spec, host), "GET", "/ready")
    if status != http.client.OK:
        raise NoResponse(f"{host}:{spec.ports.http} is not ready: /ready answered {status}")


def _connect_to_own(spec: Spec, host: str) -> http.client.HTTPConnection:
    tls = spec.server.tls
    if tls is None:
        return http.client.HTTPConnection(host, spec.ports.http, timeout=PROBE_SECONDS)
    import ssl

    # The certificate names the server as others know it; here only a port of this machine is asked.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if tls.client_ca is not None:  # of the certificates that are here, the server's own may be one that it takes
        context.load_cert_chain(spec.folder / tls.certificate, spec.folder / tls.key)
    return http.client.HTTPSConnection(host, spec.ports.http, timeout=PROBE_SECONDS, context=context)
