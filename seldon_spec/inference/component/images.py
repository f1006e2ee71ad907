"""Images as arguments and as results: files of an image format to ``PIL.Image`` and back.

Imports Pillow only where a class uses it.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError, ResultError
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.component.tables import import_library
from seldon_spec.inference.image_files import is_image_type

DEFAULT_TYPE = "image/png"
"""The format of results without a declared one."""

_OPAQUE = frozenset({"1", "L", "RGB", "CMYK"})
_WITHOUT_ALPHA = frozenset({"JPEG"})


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


def write_images(images: Any, content_type: str | None) -> tuple[Array, str]:
    """Return images as files.

    Args:
        images: a ``PIL.Image.Image``, or a list or tuple of them.
        content_type: as declared; None, or one of no image format: PNG.

    Returns:
        An array of bytes objects, and their content type.

    Raises:
        ResultError: Pillow cannot write an image in this format.
    """
    if content_type is None or not is_image_type(content_type) or content_type == "image/*":
        content_type = DEFAULT_TYPE
    images = images if isinstance(images, (list, tuple)) else [images]
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
