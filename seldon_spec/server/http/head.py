"""The head of an HTTP/1.1 request, from its bytes."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import httptools

from seldon_spec.errors import HeadTooLarge, MalformedRequest
from seldon_spec.server.http.exchange import Head

MAX_HEAD_BYTES = 65536
"""A longer head is refused."""

_MAX_HEADERS = 256
_REQUEST_LINE = re.compile(rb"[A-Z-]+ [^ \r\n]+ HTTP/1\.[01]\r\n")  # llhttp knows other versions and protocols too


def parse_head(raw: bytes) -> Head:
    """Parse a head.

    Raises:
        MalformedRequest: llhttp refuses it, it is not HTTP/1's, or it has no path.
        HeadTooLarge: there are too many headers.
    """
    if not _REQUEST_LINE.match(raw):
        raise MalformedRequest("the request's first line is malformed")
    listener = _Listener()
    parser = httptools.HttpRequestParser(listener)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # nobody has to follow the wish for another protocol
    except httptools.HttpParserError as error:
        raise MalformedRequest(f"the request's head is malformed: {error}") from None
    if not listener.is_whole:
        raise MalformedRequest("the request's head is malformed")
    if len(listener.headers) > _MAX_HEADERS:
        raise HeadTooLarge(f"the request has more than {_MAX_HEADERS} headers")
    path, query = _split_target(listener.url)
    head = Head(parser.get_method().decode(), path, query, parser.get_http_version(), tuple(listener.headers))
    _check_coding(head)
    return head


def _check_coding(head: Head) -> None:
    """See to it that everyone finds the same end of the body: the only coding is ``chunked``, and 1.1's."""
    codings = [value.strip(b" \t").lower() for name, value in head.headers if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or head.version == "1.0"):
        raise MalformedRequest("the only transfer-encoding that is read is chunked, of HTTP/1.1")


class _Listener:
    """What llhttp tells of a head."""

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


def _split_target(target: bytes) -> tuple[str, bytes]:
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise MalformedRequest("the request's target is malformed") from None
    if not url.path:
        raise MalformedRequest("the request's target has no path")
    return unquote_to_bytes(url.path).decode("latin-1"), url.query or b""
