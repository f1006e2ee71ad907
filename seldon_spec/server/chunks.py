"""The chunked transfer coding, undone: strictly, and in bounded memory (RFC 9112, section 7.1)."""

from __future__ import annotations

import re

from seldon_spec.errors import MalformedRequest, TooLarge

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\x00]*)?\Z")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\x00]*\Z")
_MAX_LINE_BYTES = 4096
_MAX_TRAILER_BYTES = 16384


class ChunkedBody:
    """A body that comes in chunks.

    Args:
        max_bytes: longer ones are refused.

    Attributes:
        content: what has come so far.
    """

    def __init__(self, max_bytes: int) -> None:
        self.content = bytearray()
        self._max_bytes = max_bytes
        self._left = 0  # of the chunk at hand, its line break included
        self._is_last = False
        self._trailer_bytes = 0

    def feed(self, buffer: bytearray) -> bool:
        """Take from the front of a buffer what belongs to this body.

        Returns:
            Whether the body is whole; what then is in the buffer belongs to the next request.

        Raises:
            MalformedRequest: it is not coded in chunks.
            TooLarge: it is longer than it may be.
        """
        while True:
            if self._left:
                if not self._take_content(buffer):
                    return False
                continue
            line = self._take_line(buffer)
            if line is None:
                return False
            if not self._is_last:
                self._begin_chunk(line)
            elif not line:
                return True

    def _take_content(self, buffer: bytearray) -> bool:
        """Take what there is of the chunk at hand; whether that was all of it."""
        size = min(len(buffer), self._left - 2)
        if size > 0:
            self.content += memoryview(buffer)[:size]
            del buffer[:size]
            self._left -= size
        if self._left > 2 or len(buffer) < 2:
            return False
        if buffer[:2] != b"\r\n":
            raise MalformedRequest("a chunk is not as long as it says")
        del buffer[:2]
        self._left = 0
        return True

    def _take_line(self, buffer: bytearray) -> bytes | None:
        end = buffer.find(b"\r\n", 0, _MAX_LINE_BYTES)
        if end < 0:
            if len(buffer) >= _MAX_LINE_BYTES:
                raise MalformedRequest("a chunk's size is not told within a line")
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        if self._is_last and line:
            self._check_trailer(line)
        return line

    def _check_trailer(self, line: bytes) -> None:
        """Look at a line of the trailer, which nobody reads, only to be sure that it is one."""
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
