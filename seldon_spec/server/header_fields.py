"""The policy on header fields of requests, the same for REST, gRPC and every engine.

A singular field that occurs twice makes a request malformed: an intermediary may use one of the values and the server
the other. Of every other field that the server itself reads, the first value counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

from seldon_spec.errors import MalformedRequest

Fields: TypeAlias = Iterable[tuple[bytes, bytes]]
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

_HOST = re.compile(
    rb"""(?: \[ (?: [0-9A-Fa-f:.]+ | [vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+ ) \]
           | (?: [A-Za-z0-9._~!$&'()*+,;=-] | %[0-9A-Fa-f]{2} )+ )
         (?: :[0-9]{0,5} )?\Z""",
    re.VERBOSE,
)


def check_singular_fields(fields: Fields) -> None:
    """Check that no singular field occurs twice.

    Args:
        fields: of one request, without the pseudo-header fields of HTTP/2.

    Raises:
        MalformedRequest: one does.
    """
    seen = set()
    for name, _ in fields:
        if name in SINGULAR_FIELDS:
            if name in seen:
                raise MalformedRequest(f"the header {name.decode()} occurs more than once")
            seen.add(name)


def is_host(value: bytes) -> bool:
    """Return True for a host with an optional port, as in ``Host`` and ``:authority`` (RFC 3986, section 3.2).

    The name of the host may not be empty: a URL of HTTP has one (RFC 9110, section 4.2.1).
    """
    return _HOST.match(value) is not None
