"""The head of an HTTP/1.1 request, from its bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import httptools

from seldon_spec.errors import HeadTooLarge, MalformedRequest
from seldon_spec.transport.header_fields import check_singular_fields, is_host
from seldon_spec.transport.http1.messages import Headers, RequestHead, find_header

MAX_HEAD_BYTES = 65536
"""A longer head is refused."""

_MAX_HEADERS = 256
_VERSIONS = ("1.0", "1.1")
_REQUEST_LINE = re.compile(rb"[A-Z-]+ [^ \r\n]+ HTTP/1\.[01]\r\n")  # llhttp knows other protocols too

_TARGET = re.compile(
    rb"(?:[Hh][Tt][Tt][Pp][Ss]?://([^/?]*))?"
    rb"((?:/[A-Za-z0-9._~!$&'()*+,;=:@/-]*(?:%[0-9A-Fa-f]{2}[A-Za-z0-9._~!$&'()*+,;=:@/-]*)*)?)"
    rb"(?:\?([!-\"$-;=?-~]*))?\Z"
)
"""The path is that of RFC 3986. Its query is what clients send: ``?json={"data":…}``, brackets, bare percent signs."""


def parse_head(raw: bytes) -> RequestHead:
    """Parse a head.

    Raises:
        MalformedRequest: llhttp or ``make_head`` rejects it.
        HeadTooLarge: there are too many headers.
    """
    if not _REQUEST_LINE.match(raw):
        raise MalformedRequest("the request's first line is malformed")
    listener = _Listener()
    parser = httptools.HttpRequestParser(listener)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # a request for another protocol may be ignored
    except httptools.HttpParserError as error:
        raise MalformedRequest(f"the request's head is malformed: {error}") from None
    if not listener.is_whole:
        raise MalformedRequest("the request's head is malformed")
    if len(listener.headers) > _MAX_HEADERS:
        raise HeadTooLarge(f"the request has more than {_MAX_HEADERS} headers")
    return make_head(parser.get_method().decode(), listener.url, parser.get_http_version(), listener.headers)


def find_path(raw: bytes) -> str:
    """Return the path of a request whose head is malformed or not complete; empty: it is not known.

    A malformed target is returned as it is.
    """
    line = _REQUEST_LINE.match(raw)
    if line is None:
        return ""
    method, target, _ = line[0].split(b" ")
    try:
        return _split_target(method.decode(), target).path
    except MalformedRequest:
        return target.decode("latin-1")


def make_head(method: str, target: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]) -> RequestHead:
    """Return a validated head; the same requests are malformed with every parser.

    Args:
        method: in upper case.
        target: as in the request line.
        version: without the protocol's name.
        headers: names in lower case; white space around the values is removed.

    Raises:
        MalformedRequest: RFC 9112 requires to reject it, or it contains a singular field twice.
    """
    if version not in _VERSIONS:
        raise MalformedRequest("the version is not HTTP/1.0 or HTTP/1.1")
    fields = tuple([(name, value.strip(b" \t")) for name, value in headers])
    _check_host(fields, version)
    path, query, authority = _split_target(method, target)
    if authority is not None:  # takes precedence (RFC 9112, section 3.2.2)
        fields = ((b"host", authority), *(field for field in fields if field[0] != b"host"))
    head = RequestHead(method, path, query, version, fields)
    _check_coding(head)
    return head


def _check_host(headers: Headers, version: str) -> None:
    check_singular_fields(headers)
    host = find_header(headers, b"host")
    if host is None:
        if version != "1.0":
            raise MalformedRequest("the request has no host header")
    elif not is_host(host):
        raise MalformedRequest("the host header is malformed")


def _check_coding(head: RequestHead) -> None:
    """Check that the end of the body is unambiguous: the only transfer coding is ``chunked``, of HTTP/1.1."""
    codings = [value.strip(b" \t").lower() for name, value in head.headers if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or head.version == "1.0"):
        raise MalformedRequest("the only transfer-encoding that is read is chunked, of HTTP/1.1")


class _Listener:
    """Collects the parts of a head that llhttp finds."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_whole = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_whole = True


class _Target(NamedTuple):
    """The parts of a request's target.

    Attributes:
        path: percent-decoded, a character for each byte.
        query: not decoded.
        authority: None unless the target is an absolute URL.
    """

    path: str
    query: bytes
    authority: bytes | None


def _split_target(method: str, target: bytes) -> _Target:
    if target == b"*" and method == "OPTIONS":
        return _Target("*", b"", None)
    match = _TARGET.match(target)
    if match is None or method == "CONNECT":
        raise MalformedRequest("the request's target is malformed")
    authority, path, query = match.groups()
    if authority is None:
        if not path:
            raise MalformedRequest("the request's target has no path")
    elif not is_host(authority):
        raise MalformedRequest("the host of the request's target is malformed")
    return _Target(unquote_to_bytes(path or b"/").decode("latin-1"), query or b"", authority)
