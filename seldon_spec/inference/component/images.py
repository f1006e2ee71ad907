"""Images as arguments and as results: files of an image format to ``PIL.Image`` and back.

Imports Pillow only where a class uses it.
"""

from __future__ import annotations

import base64
import binascii
import io
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError, ResultError
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.component.tables import import_library

DEFAULT_TYPE = "image/png"
"""The format of results without a declared one."""

_SIGNATURES = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*"),
    *(b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
)
"""The first bytes of PNG, JPEG, GIF, BMP, TIFF and JPEG 2000."""

_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"})
"""The brands of HEIF, which follow ``ftyp`` in the first box."""

_OPAQUE = frozenset({"1", "L", "RGB", "CMYK"})
_WITHOUT_ALPHA = frozenset({"JPEG"})


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


def open_image(data: bytes, name: str, index: int) -> Any:
    """Return an image file as a ``PIL.Image.Image`` whose pixels are decoded.

    Args:
        data: the file.
        name, index: of the input and the element, for the message.

    Raises:
        PayloadError: it cannot be decoded, or has more pixels than Pillow's limit.
        ComponentFailed: Pillow is not installed.
    """
    library = import_library("PIL.Image", "a PIL.Image.Image")
    try:
        image = library.open(io.BytesIO(data))
        limit = library.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise ValueError(f"{image.width} x {image.height} pixels are more than the limit of {limit}")
        image.load()
    except Exception as error:  # a decoder raises any type for a file that is damaged
        is_unknown = type(error).__name__ == "UnidentifiedImageError"  # its text has an address
        reason = "Pillow cannot identify its format" if is_unknown else str(error)
        raise PayloadError(f"input {name}: element {index} is not an image: {reason}") from error
    return image


def are_images(value: object) -> bool:
    """Return whether a value is a ``PIL.Image.Image``, or a list or tuple of nothing but such images."""
    library = sys.modules.get("PIL.Image")
    if library is None:  # nothing has made an image
        return False
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(item, library.Image) for item in value)
    return isinstance(value, library.Image)


def write_images(images: Sequence[Any], content_type: str | None) -> tuple[Array, str]:
    """Return images as files.

    Args:
        images: of type ``PIL.Image.Image``.
        content_type: as declared; None, or one of no image format: PNG.

    Returns:
        An array of bytes objects, and their content type.

    Raises:
        ResultError: Pillow cannot write an image in this format.
    """
    if content_type is None or not is_image_type(content_type) or content_type == "image/*":
        content_type = DEFAULT_TYPE
    written = np.empty(len(images), dtype=object)
    for index, image in enumerate(images):
        written[index] = _write_image(image, content_type)
    return written, content_type


def _write_image(image: Any, content_type: str) -> bytes:
    file_format = content_type.removeprefix("image/").upper()
    if file_format in _WITHOUT_ALPHA and image.mode not in _OPAQUE:
        image = image.convert("RGB")
    buffer = io.BytesIO()
    try:
        image.save(buffer, file_format)
    except (KeyError, OSError, ValueError) as error:
        raise ResultError(f"an image of mode {image.mode} has no form as {content_type}: {error}") from error
    return buffer.getvalue()
