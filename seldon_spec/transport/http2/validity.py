"""Validation of the header fields of requests and trailers (RFC 9113, section 8)."""

from __future__ import annotations

import re

from seldon_spec.transport.http2.fields import Fields

_COLON = 0x3A
_NAME = re.compile(rb":?[!-9;-@\[-~]+\Z")
"""No upper case, no whitespace, no control characters, nothing but ASCII, and a colon only at the start."""

_VALUE = re.compile(rb"(?:[^\0\r\n\t ](?:[^\0\r\n]*[^\0\r\n\t ])?)?\Z")
"""No line breaks, no NUL, and no whitespace at its ends."""

_PSEUDO_FIELDS = frozenset({b":method", b":scheme", b":path", b":authority"})
_CONNECTION_FIELDS = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
_CHECKED_FIELDS = _CONNECTION_FIELDS | {b"te", b"host", b"content-length"}
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")


class MalformedMessage(ValueError):
    """A request or its trailers violate HTTP; the stream is reset with PROTOCOL_ERROR."""


def check_field(name: bytes, value: bytes) -> None:
    """Check the characters of one field (section 8.2.1); raises ``MalformedMessage``."""
    if _NAME.match(name) is None or not is_value(value):
        raise MalformedMessage("a field name or value with characters that are not allowed")


def is_value(value: bytes) -> bool:
    """Return True if all characters of a field's value are allowed."""
    return _VALUE.match(value) is not None


def check_request(fields: Fields) -> int | None:
    """Check the header fields of a request.

    Returns:
        The announced length of the body; None if there is none.

    Raises:
        MalformedMessage: the request is malformed.
    """
    pseudo: dict[bytes, bytes] = {}
    host = length = None
    is_regular = False
    is_name, is_allowed = _NAME.match, _VALUE.match
    for name, value in fields:
        if is_name(name) is None or is_allowed(value) is None:
            raise MalformedMessage("a field name or value with characters that are not allowed")
        if name[0] == _COLON:
            if is_regular or name in pseudo or name not in _PSEUDO_FIELDS:
                raise MalformedMessage("a pseudo-header field that is unknown, repeated or after a regular field")
            pseudo[name] = value
            continue
        is_regular = True
        if name not in _CHECKED_FIELDS:
            continue
        _check_regular(name, value)
        if name == b"host":
            host = _only(host, value)
        elif name == b"content-length":
            length = _only(length, value)
    _check_target(pseudo, host)
    if length is None:
        return None
    if _LENGTH.match(length) is None:
        raise MalformedMessage("a content-length that is not a number")
    return int(length)


def check_trailers(fields: Fields) -> None:
    """Check the fields behind a body; raises ``MalformedMessage``."""
    for name, value in fields:
        check_field(name, value)
        if name.startswith(b":"):
            raise MalformedMessage("a pseudo-header field in trailers")
        _check_regular(name, value)


def _check_regular(name: bytes, value: bytes) -> None:
    """Check that a field is not one of a single connection of HTTP/1.1 (section 8.2.2)."""
    if name in _CONNECTION_FIELDS or (name == b"te" and value.lower() != b"trailers"):
        raise MalformedMessage("a connection-specific field")


def _only(before: bytes | None, value: bytes) -> bytes:
    if before is not None:
        raise MalformedMessage("host or content-length twice")
    return value


def _check_target(pseudo: dict[bytes, bytes], host: bytes | None) -> None:
    """Check the pseudo-header fields as a whole (sections 8.3.1 and 8.5)."""
    authority = pseudo.get(b":authority")
    if pseudo.get(b":method") == b"CONNECT":
        is_complete = bool(authority) and pseudo.keys() == {b":method", b":authority"}
    else:
        is_complete = all(pseudo.get(name) for name in (b":method", b":scheme", b":path"))
    if not is_complete:
        raise MalformedMessage("pseudo-header fields are missing or empty")
    if host is not None and authority is not None and host.lower() != authority.lower():
        raise MalformedMessage("host is not :authority")
