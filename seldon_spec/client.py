"""Requests to a running server over REST or gRPC: URLs, TLS trust and the bearer token."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import SplitResult, urlsplit

from seldon_spec.config.paths import decode_text
from seldon_spec.config.secret_names import mask_urls
from seldon_spec.errors import SeldonSpecError

if TYPE_CHECKING:
    import ssl

TIMEOUT_SECONDS = 300
MAX_FILE_BYTES = 1024 * 1024 * 1024


class BadData(SeldonSpecError):
    """A file or the data of a request cannot be used."""


class NoResponse(SeldonSpecError):
    """The server could not be reached, or the response is an error.

    Attributes:
        code: the name of the gRPC status; None: there is none.
        details: the text of the gRPC status.
    """

    def __init__(self, text: str, code: str | None = None, details: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.details = details


def read_file(file: Path) -> bytes:
    """Return the content of a file that the user named.

    Raises:
        BadData: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES)
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
        token = decode_text(read_file(self.token_file), "replace").strip()
        return {"authorization": f"Bearer {token.encode('ascii', 'replace').decode()}"}

    def root_certificates(self) -> bytes | None:
        """Return the certificates of ``ca``.

        Raises:
            BadData: the file cannot be read.
        """
        return None if self.ca is None else read_file(self.ca)


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


def connect(parts: SplitResult, credentials: Credentials) -> http.client.HTTPConnection:
    """Return a connection to the REST port of a server; the proxy variables are ignored.

    Raises:
        BadData: the file of CA certificates cannot be read.
    """
    host = str(parts.hostname)
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_SECONDS)
    context = make_tls_context(credentials)
    return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_SECONDS, context=context)


def make_tls_context(credentials: Credentials) -> ssl.SSLContext:
    """Return what verifies the certificate of a server.

    Raises:
        BadData: the file of CA certificates cannot be read, or contains none.
    """
    import ssl

    pem = credentials.root_certificates()
    try:
        return ssl.create_default_context(cadata=None if pem is None else pem.decode("ascii", "replace"))
    except ssl.SSLError:
        raise BadData(f"{credentials.ca} contains no certificate") from None


Response: TypeAlias = tuple[int, bytes, Mapping[str, str]]
"""Status, body and headers of an HTTP response."""


def request(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """Send one request and close the connection.

    Raises:
        NoResponse: the server cannot be reached.
    """
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read(), response.headers  # type: ignore[return-value]
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise NoResponse(f"no response from {connection.host}:{connection.port}: {reason}") from None
    finally:
        connection.close()


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
                code, details = error.code().name, error.details() or ""
                if details.startswith("failed to connect"):  # the text of grpcio
                    reason = details.rpartition(": ")[2]
                    raise NoResponse(f"no response from {address}: {reason}", code, details) from None
                raise NoResponse(f"{mask_urls(parts.geturl())} returned {code}: {details}", code, details) from None
            return response

        yield call
