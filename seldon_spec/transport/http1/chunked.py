"""A strict decoder of the chunked transfer coding, in bounded memory (RFC 9112, section 7.1)."""

from __future__ import annotations

import re

from seldon_spec.errors import MalformedRequest, TooLarge
from seldon_spec.transport.turns import Turn

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t -~\x80-\xff]*)?\Z")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\Z")
_MAX_LINE_BYTES = 4096
_MAX_TRAILER_BYTES = 16384


class ChunkedBody:
    """A chunked body.

    Args:
        max_bytes: limit of its length.

    Attributes:
        content: the bytes that have been decoded.
        has_more: the last turn ended before all that was received had been read.
    """

    def __init__(self, max_bytes: int) -> None:
        self.content = bytearray()
        self.has_more = False
        self._max_bytes = max_bytes
        self._at = 0  # so much of the buffer has been read; removing each chunk by itself would cost too much
        self._left = 0  # of the current chunk, its line break included
        self._is_last = False
        self._trailer_bytes = 0

    def feed(self, buffer: bytearray, turn: Turn) -> bool:
        """Remove from the front of a buffer what belongs to this body, for one turn.

        Returns:
            True if the body is complete; the rest of the buffer belongs to the next request.

        Raises:
            MalformedRequest: the coding is malformed.
            TooLarge: the body is longer than the limit.
        """
        self._at = 0
        self.has_more = False
        is_whole = self._read(buffer, turn)
        del buffer[: self._at]
        return is_whole

    def _read(self, buffer: bytearray, turn: Turn) -> bool:
        while True:
            if self._left and not self._take_content(buffer):
                return False
            line = self._take_line(buffer)
            if line is None:
                return False
            if not self._is_last:
                self._begin_chunk(line)
            elif not line:
                return True
            if not turn.take():
                self.has_more = True
                return False

    def _take_content(self, buffer: bytearray) -> bool:
        """Read what was received of the current chunk; returns True if that was all of it."""
        size = min(len(buffer) - self._at, self._left - 2)
        if size > 0:
            self.content += memoryview(buffer)[self._at : self._at + size]
            self._at += size
            self._left -= size
        if self._left > 2 or len(buffer) - self._at < 2:
            return False
        if not buffer.startswith(b"\r\n", self._at):
            raise MalformedRequest("a chunk does not have the size that it announces")
        self._at += 2
        self._left = 0
        return True

    def _take_line(self, buffer: bytearray) -> bytes | None:
        start = self._at
        end = buffer.find(b"\r\n", start, start + _MAX_LINE_BYTES)
        if end < 0:
            if len(buffer) - start >= _MAX_LINE_BYTES:
                raise MalformedRequest("the line with a chunk's size is too long")
            return None
        line = bytes(buffer[start:end])
        self._at = end + 2
        if self._is_last and line:
            self._check_trailer(line)
        return line

    def _check_trailer(self, line: bytes) -> None:
        """Check a line of the trailer, which is not used."""
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _MAX_TRAILER_BYTES:
            raise MalformedRequest("the trailer is too long")
        if _TRAILER_LINE.match(line) is None:
            raise MalformedRequest("the trailer is malformed")

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.match(line)
        if match is None:
            raise MalformedRequest("a chunk's size is malformed")
        size = int(match[1], 16)
        if len(self.content) + size > self._max_bytes:
            raise TooLarge(f"the body is larger than server.max_body_bytes, {self._max_bytes}")
        self._is_last = size == 0
        self._left = size + 2 if size else 0
