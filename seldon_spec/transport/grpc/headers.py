"""The headers of gRPC: of requests, and of responses.

Source: the document "gRPC over HTTP2" of the gRPC project.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seldon_spec.errors import MalformedRequest
from seldon_spec.transport.header_fields import check_singular_fields
from seldon_spec.transport.http2.fields import Fields, write_fields

STATUS = {
    name: number
    for number, name in enumerate(
        (
            "OK",
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "UNAUTHENTICATED",
        )
    )
}
"""The number of each status."""

ENCODINGS = ("identity", "gzip", "deflate")
"""The supported compressions of messages."""

INITIAL_METADATA = b"\x88" + write_fields([(b"content-type", b"application/grpc")])
"""The first headers of a response; 0x88 is ``:status: 200``."""

OK_TRAILERS = write_fields([(b"grpc-status", b"0")])
"""The last headers of a successful response."""

_ACCEPT_ENCODING = (b"grpc-accept-encoding", ",".join(ENCODINGS).encode())
ACCEPT_ENCODING = write_fields([_ACCEPT_ENCODING])
"""Added to the first headers of refusals."""

_MAX_MESSAGE_BYTES = 4096  # once it is encoded; clients refuse long headers

_TIMEOUT_DIGITS = 8
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


@dataclass(frozen=True, slots=True)
class CallHead:
    """The headers of a call.

    Attributes:
        method: of HTTP.
        path: service and method.
        content_type: empty if there is none.
        encoding: the compression of messages.
        timeout_seconds: None: no timeout.
        size: of the fields as HTTP/2 counts it, about, in bytes.
        fields: all of them.
        find: returns the first value of a field.
    """

    method: bytes
    path: bytes
    content_type: bytes
    encoding: str
    timeout_seconds: float | None
    size: int
    fields: Fields
    find: Callable[[bytes], bytes | None]


def read_head(fields: Fields) -> CallHead:
    """Read the headers of a call; of a field that occurs more than once, the first value counts.

    Raises:
        MalformedRequest: the timeout is malformed, or a singular field occurs twice.
    """
    check_singular_fields(fields)
    named = first_values(fields)
    timeout = named.get(b"grpc-timeout")
    return CallHead(
        method=named.get(b":method", b""),
        path=named.get(b":path", b""),
        content_type=named.get(b"content-type", b"").lower(),
        encoding=named.get(b"grpc-encoding", b"identity").decode("latin-1"),
        timeout_seconds=None if timeout is None else read_timeout(timeout),
        size=sum(len(name) + len(value) + 32 for name, value in fields),
        fields=fields,
        find=named.get,
    )


def first_values(fields: Fields) -> dict[bytes, bytes]:
    """Return the first value of each field."""
    return dict(reversed(fields))


def read_timeout(timeout: bytes) -> float:
    """Return the seconds of a ``grpc-timeout``.

    Raises:
        MalformedRequest: it is malformed.
    """
    digits, unit = timeout[:-1], _UNITS.get(timeout[-1:])
    if unit is None or not digits.isdigit() or len(digits) > _TIMEOUT_DIGITS:
        raise MalformedRequest("grpc-timeout is malformed")
    return int(digits) * unit


def write_trailers(status: str, text: str) -> bytes:
    """Return the last headers of a response that is an error.

    Args:
        status: its name.
        text: for the client.
    """
    return write_fields(_status_fields(status, text))


def write_trailers_only(status: str, text: str) -> bytes:
    """Return the only headers of a response that is an error, for a Trailers-Only response."""
    return INITIAL_METADATA + write_fields([*_status_fields(status, text), _ACCEPT_ENCODING])


def write_http_refusal(status: int) -> bytes:
    """Return the only headers of the response to a request that is not gRPC."""
    fields = [(b":status", b"%d" % status), (b"content-type", b"application/grpc")]
    return write_fields(fields + _status_fields("UNKNOWN", "this port speaks gRPC"))


def _status_fields(status: str, text: str) -> Fields:
    fields = [(b"grpc-status", b"%d" % STATUS[status])]
    return [*fields, (b"grpc-message", _encode_text(text))] if text else fields


def _encode_text(text: str) -> bytes:
    """Encode text for ``grpc-message``: printable ASCII, and everything else as percent-encoded UTF-8."""
    encoded = bytearray()
    for character in text[:_MAX_MESSAGE_BYTES]:
        if " " <= character <= "~" and character != "%":
            part = character.encode()
        else:
            part = b"".join(b"%%%02X" % byte for byte in character.encode("utf-8", "replace"))
        if len(encoded) + len(part) > _MAX_MESSAGE_BYTES:
            break
        encoded += part
    return bytes(encoded)
