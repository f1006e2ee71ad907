"""Image files among the elements of BYTES: recognised by their signatures, and base64 in JSON.

Imports no library for images.
"""

from __future__ import annotations

import base64
import binascii

import numpy as np

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array

_SIGNATURES = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*"),
    *(b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
)
"""The first bytes of PNG, JPEG, GIF, BMP, TIFF and JPEG 2000."""

_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"})
"""The brands of HEIF, which follow ``ftyp`` in the first box."""


def is_image_type(content_type: object) -> bool:
    """Return whether a content type says that elements of BYTES are image files."""
    return isinstance(content_type, str) and content_type.startswith("image/")


def image_bytes(element: object, name: str, index: int) -> bytes:
    """Return an image file.

    Args:
        element: the file itself, or its base64 as text or bytes.
        name: of the input, for the message.
        index: of the element, for the message.

    Raises:
        PayloadError: it is neither, by its signature.
    """
    if isinstance(element, bytes) and _has_signature(element):
        return element
    if not isinstance(element, (str, bytes)):
        found = "missing" if element is None else f"a {type(element).__name__}"
        raise PayloadError(f"input {name}: element {index} is not an image: it is {found}")
    try:
        decoded = base64.b64decode(element, validate=True)
    except (binascii.Error, ValueError):  # ValueError: text that is not ASCII
        raise PayloadError(
            f"input {name}: element {index} is not an image: it has no signature of an image format and is not base64"
        ) from None
    if not _has_signature(decoded):
        raise PayloadError(f"input {name}: element {index} is not an image: it has no signature of an image format")
    return decoded


def _has_signature(data: bytes) -> bool:
    if data.startswith(_SIGNATURES):
        return True
    if data[:4] == b"RIFF":
        return data[8:12] == b"WEBP"
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def encode_images(files: Array) -> Array:
    """Return image files as base64, for JSON; other elements, such as base64 already, stay as they are."""
    encoded = np.empty(files.size, dtype=object)
    encoded[:] = [base64.b64encode(file) if _has_signature(file) else file for file in files.ravel().tolist()]
    return encoded
