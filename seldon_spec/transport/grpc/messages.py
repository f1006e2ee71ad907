"""The messages of gRPC: their prefix and their compression.

Source: the document "gRPC over HTTP2" of the gRPC project.
"""

from __future__ import annotations

import struct
import zlib
from typing import TypeAlias

from seldon_spec.errors import CorruptMessage, TooLarge

Message: TypeAlias = bytes | memoryview

PREFIX = struct.Struct(">BI")
"""Flag and length of a message."""

_WBITS = {"gzip": 31, "deflate": 15}


def write_prefix(message: Message) -> bytes:
    """Return the prefix of a message that is not compressed."""
    return PREFIX.pack(0, len(message))


def decompress(encoding: str, message: Message, max_bytes: int) -> bytes:
    """Decompress a message.

    Raises:
        CorruptMessage: it is not compressed with ``encoding``.
        TooLarge: it would be longer than ``max_bytes``; no more than that is decompressed.
    """
    inflater = zlib.decompressobj(_WBITS[encoding])
    try:
        plain = inflater.decompress(message, max_bytes + 1)
    except zlib.error as error:
        raise CorruptMessage(f"the message cannot be decompressed: {error}") from None
    if len(plain) > max_bytes:
        raise too_large(max_bytes)
    if not inflater.eof:
        raise CorruptMessage("the message cannot be decompressed: it ends too early")
    return plain


def too_large(max_bytes: int) -> TooLarge:
    """Return the error of a message that is too long."""
    return TooLarge(f"the message is larger than server.max_message_bytes, {max_bytes}")
