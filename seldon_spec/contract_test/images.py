"""Small images, for inputs that are files of images."""

from __future__ import annotations

import io
import struct
import zlib
from importlib import import_module
from typing import Any


def make_image(media_type: str, size: int, value: int) -> bytes:
    """Return an RGB image of ``size`` times ``size`` pixels with a gradient that starts at ``value``.

    Returns:
        A file of the media type if Pillow is installed and writes it, else a PNG file.
    """
    png = _make_png(size, value)
    if media_type in ("image/png", "image/*"):
        return png
    try:
        image: Any = import_module("PIL.Image")  # not a dependency: a model that takes other images has it
    except ImportError:
        return png
    stream = io.BytesIO()
    try:
        image.open(io.BytesIO(png)).save(stream, media_type.removeprefix("image/").upper())
    except (KeyError, OSError):  # it has no encoder for the format
        return png
    return stream.getvalue()


def _make_png(size: int, value: int) -> bytes:
    # a scan line is its filter, 0, and three bytes for each pixel
    lines = b"".join(
        b"\0" + bytes((value + 4 * (x + y)) % 256 for x in range(size) for _ in range(3)) for y in range(size)
    )
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
