"""The policy on header fields of requests, the same for REST, gRPC and every engine.

A singular field that occurs twice makes a request malformed: an intermediary may use one of the values and the server
the other. Of every other field that the server itself reads, the first value counts.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import TypeAlias

from seldon_spec.errors import MalformedRequest

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values."""

SINGULAR_FIELDS = frozenset(
    {
        b"host",
        b"content-length",
        b"content-type",
        b"authorization",
        b"content-encoding",
        b"grpc-timeout",
        b"grpc-encoding",
    }
)
"""The fields that a request may contain only once, in lower case."""

FIRST_VALUE_FIELDS = frozenset(
    {
        b"access-control-request-headers",
        b"access-control-request-method",
        b"b3",
        b"origin",
        b"seldon-puid",
        b"traceparent",
        b"x-b3-traceid",
        b"x-request-id",
    }
)
"""The other fields that the server reads. WSGI joins the values of a repeated field; of these it gets the first."""

_HOST = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]+)\]|(?=[^:])[A-Za-z0-9._~!$&'()*+,;=-]*(?:%[0-9A-Fa-f]{2}[A-Za-z0-9._~!$&'()*+,;=-]*)*)"
    rb"(?::[0-9]{0,5})?\Z"
)


def check_singular_fields(fields: Fields) -> None:
    """Check that no singular field occurs twice.

    Args:
        fields: of one request, without the pseudo-header fields of HTTP/2.

    Raises:
        MalformedRequest: one does.
    """
    if len(dict(fields)) == len(fields):  # as almost always, no field is repeated
        return
    names = [name for name, _ in fields if name in SINGULAR_FIELDS]
    if len(names) != len(set(names)):
        repeated = next(name for name in names if names.count(name) > 1)
        raise MalformedRequest(f"the header {repeated.decode()} occurs more than once")


def is_host(value: bytes) -> bool:
    """Return True for a host with an optional port, as in ``Host`` and ``:authority`` (RFC 3986, section 3.2).

    The name of the host may not be empty: a URL of HTTP has one (RFC 9110, section 4.2.1).
    """
    match = _HOST.match(value)
    return match is not None and (match[1] is None or _is_ipv6(match[1]))


def _is_ipv6(address: bytes) -> bool:
    try:
        ipaddress.IPv6Address(address.decode())
    except ValueError:
        return False
    return True
