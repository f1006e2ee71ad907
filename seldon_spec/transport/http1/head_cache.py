"""The heads of HTTP/1.1 requests that a port has seen before, with the handlers of their requests.

HTTP/1.1 keeps no state between requests: the same bytes mean the same each time. So a repeated head is found by its
bytes, and one that differs only in the values of some headers is read by a template.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeAlias

from seldon_spec.errors import RequestError, TooLarge
from seldon_spec.transport.bounded_cache import BoundedCache
from seldon_spec.transport.http1.messages import FIXED_HEADERS, Headers, HttpApp, RequestHandler, RequestHead
from seldon_spec.transport.templates import MAX_BYTES, MAX_FIELDS, RecentTemplates, Shapes

_MAX_HEADS = 512
_MAX_HEADS_BYTES = 1 << 20
_HEAD_OVERHEAD = 2048  # of the parsed head and its handler, about

_LINE_END = b"\r\n"
_VALUE = rb"([!-~](?:[ -~]*[!-~])?)"
"""A value without space at its ends; a line end follows, so that a search in vain costs a step for each byte."""

_MAX_VARYING = 16
"""Heads that differ in more values are parsed each time: a client can have a template compiled for each value."""

_LENGTH_DIGITS = 18

KnownHead: TypeAlias = tuple[RequestHead, RequestHandler]
"""A head, and what handles requests with this head."""


class _ConstantHead:
    """The template of a head that is the same each time."""

    __slots__ = ("_known", "_raw")

    def __init__(self, raw: bytes, known: KnownHead) -> None:
        self._raw = raw
        self._known = known

    def read(self, data: bytes) -> KnownHead | None:
        """Return the head if ``data`` begins with it."""
        return self._known if data.startswith(self._raw) else None


class _HeadTemplate:
    """The template of heads that differ in some values; also the ``HeaderLayout`` of these heads.

    Args:
        segments: the bytes between the values that differ, the first ones and the last ones included.
        numbers: of the headers with these values.
        known: one of these heads.
        app: selects the handlers.
    """

    __slots__ = (
        "_constants",
        "_find_handler",
        "_format",
        "_head",
        "_headers",
        "_length_gap",
        "_match",
        "_max_body_bytes",
        "_numbers",
        "_places",
    )

    def __init__(self, segments: Sequence[bytes], numbers: Sequence[int], known: KnownHead, app: HttpApp) -> None:
        # by their lengths: it takes much longer to compile what a client has sent, and ``re`` would keep it
        first, *others = map(len, segments)
        lengths = [rb".{%d}" % first, *(rb"\r\n.{%d}" % (each - len(_LINE_END)) for each in others)]
        self._match = re.compile(_VALUE.join(lengths), re.DOTALL).match
        self._format = b"%b".join(segment.replace(b"%", b"%%") for segment in segments)
        self._numbers = tuple(numbers)
        self._head = known[0]
        self._headers = self._head.headers
        self._max_body_bytes = app.max_body_bytes
        names = [self._headers[number][0] for number in numbers]
        self._places = {name: place for place, name in enumerate(names)}
        self._constants = dict(reversed(self._headers))  # of each name, the first value
        self._find_handler = app.vary(*known, names)
        self._length_gap = self._places.get(b"content-length")

    def read(self, data: bytes) -> KnownHead | None:
        """Return the head at the beginning of ``data``; None: it has to be parsed."""
        found = self._match(data, 0, MAX_BYTES)
        if found is None:
            return None
        values, size = found.groups(), found.end()
        if not data.startswith(self._format % values):
            return None
        head, length = self._head, self._head.content_length
        if self._length_gap is not None:
            text = values[self._length_gap]
            if not text.isdigit() or len(text) > _LENGTH_DIGITS:
                return None
            length = int(text)
            if length > self._max_body_bytes:
                return None
        varied = head.vary(self, values, length, size)
        try:
            return varied, self._find_handler(varied, values)
        except RequestError:  # it is refused where it is parsed
            return None

    def list_headers(self, values: Sequence[bytes]) -> Headers:
        headers = list(self._headers)
        for number, value in zip(self._numbers, values, strict=True):
            headers[number] = (headers[number][0], value)
        return tuple(headers)

    def find(self, values: Sequence[bytes], name: bytes) -> bytes | None:
        place = self._places.get(name)
        return self._constants.get(name) if place is None else values[place]


class HeadCache:
    """The heads that a port has seen before, and templates of those of the same shape.

    Args:
        app: selects the handlers; a head that announces a longer body than the application accepts is refused.
    """

    def __init__(self, app: HttpApp) -> None:
        self._app = app
        self._heads: BoundedCache[KnownHead] = BoundedCache(_MAX_HEADS, _MAX_HEADS_BYTES)
        self._shapes: Shapes[_HeadTemplate] = Shapes()

    def get(self, raw: bytes, recent: RecentTemplates[KnownHead]) -> KnownHead | None:
        """Return the head of these bytes, the empty line at their end included; None: it has to be parsed.

        Args:
            raw: the bytes.
            recent: the templates of the connection; a head that is found is added.
        """
        known = self._heads.get(raw)
        if known is not None:
            recent.add(_ConstantHead(raw, known))
        return known

    def put(self, raw: bytes, head: RequestHead, recent: RecentTemplates[KnownHead]) -> RequestHandler:
        """Return the handler of a head that has been parsed, and learn from the head.

        Args:
            raw: its bytes.
            head: gets its size.
            recent: the templates of the connection; one that reads such heads is added.

        Raises:
            TooLarge: the body is longer than the limit.
            RequestError: the application refuses requests with this head.
        """
        head.size = len(raw)
        handler = self._app.find_handler(head)  # first: a client without a token learns nothing else
        if head.content_length > self._app.max_body_bytes:
            raise TooLarge(f"the body is larger than server.max_body_bytes, {self._app.max_body_bytes}")
        if len(raw) > MAX_BYTES or len(head.headers) > MAX_FIELDS:
            return handler
        known = head, handler
        if self._heads.offer(raw, known, len(raw) + _HEAD_OVERHEAD):
            recent.add(_ConstantHead(raw, known))
            return handler
        shape = _split(raw, head.headers)
        if shape is not None:
            key, values = shape
            template = self._shapes.learn(key, [*values.values()], partial(self._build, raw, known, values))
            if template is not None:
                recent.add(template)
        return handler

    def _build(
        self, raw: bytes, known: KnownHead, values: Mapping[int, bytes], varying: frozenset[int]
    ) -> _HeadTemplate | None:
        """Return the template of heads like this one; ``varying``: the places in ``values`` of those that differ."""
        if len(varying) > _MAX_VARYING:
            return None
        numbers = [number for place, number in enumerate(values) if place in varying]
        segments, start, at = [], 0, raw.index(_LINE_END)
        for number in range(len(known[0].headers)):
            end = raw.index(_LINE_END, at + len(_LINE_END))
            if number in numbers:
                stop = end - len(values[number])
                segments.append(raw[start:stop])
                start = end
            at = end
        return _HeadTemplate([*segments, raw[start:]], numbers, known, self._app)


def _split(raw: bytes, headers: Headers) -> tuple[bytes, dict[int, bytes]] | None:
    """Return what all heads of a shape have in common, and the values that may differ by the numbers of their headers.

    A header that occurs more than once does not vary, since it depends on all of its values what they mean. None: the
    head has lines that are no headers of their own.
    """
    lines = raw[:-4].split(_LINE_END)
    if len(lines) != len(headers) + 1:
        return None
    names = [name for name, _ in headers]
    values = {}
    for number, (name, value) in enumerate(headers):
        line = lines[number + 1]
        if line[: len(name)].lower() != name or line[len(name) : len(name) + 1] != b":":
            return None
        if name not in FIXED_HEADERS and value and line.endswith(value) and names.count(name) == 1:
            values[number] = value
            lines[number + 1] = line[: len(line) - len(value)] + b"\n"  # which no line has
    return _LINE_END.join(lines), values
