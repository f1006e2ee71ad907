"""The texts and images of requests as the pipelines of transformers take them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from seldon_spec import SeldonMicroserviceException

_LIMITED = frozenset({"text-classification", "feature-extraction", "fill-mask"})
"""The tasks whose pipelines pass texts of any length to the model."""


def read_texts(X: Any) -> list[str]:
    """Return the texts of a request: one text, or an array of texts.

    Raises:
        SeldonMicroserviceException: there is anything but text.
    """
    values = [X] if isinstance(X, (str, bytes)) else np.asarray(X, np.object_).ravel().tolist()
    return [_read_text(value, index) for index, value in enumerate(values)]


def _read_text(value: Any, index: int) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise SeldonMicroserviceException(f"text {index} is not UTF-8") from None
    if not isinstance(value, str):
        found = "missing" if value is None else f"a {type(value).__name__}"
        raise SeldonMicroserviceException(f"the model takes text, and element {index} is {found}")
    return value


def find_limit(pipeline: Any, task: str) -> int | None:
    """Return the number of tokens that a model takes; None: its pipeline truncates texts, or the model has no limit."""
    if task not in _LIMITED:
        return None
    limits = [getattr(pipeline.model.config, "max_position_embeddings", None), pipeline.tokenizer.model_max_length]
    known = [limit for limit in limits if isinstance(limit, int) and 0 < limit < 1 << 30]
    return min(known, default=None)


def open_images(files: Any) -> Sequence[Any]:
    """Return the images of files.

    Raises:
        SeldonMicroserviceException: a file cannot be decoded, or has more pixels than Pillow's limit.
    """
    return [_open_image(file, index) for index, file in enumerate(np.asarray(files, np.object_).ravel().tolist())]


def _open_image(file: Any, index: int) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(file))
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise ValueError(f"{image.width} x {image.height} pixels are more than the limit of {limit}")
        image.load()
    except Exception as error:  # a decoder raises any type for a file that is damaged
        is_unknown = isinstance(error, UnidentifiedImageError)  # its text has an address
        reason = "Pillow cannot identify its format" if is_unknown else str(error)
        raise SeldonMicroserviceException(f"element {index} is not an image: {reason}") from None
    return image
