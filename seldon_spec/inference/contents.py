"""The elements of BYTES as their content type says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from seldon_spec.inference.arrays import check_depth


def decode_text(element: Any) -> Any:
    """Return an element as text; what is not bytes is returned unchanged."""
    return str(element, "utf-8") if isinstance(element, bytes) else element


def _decode_base64(element: Any) -> bytes:
    return base64.b64decode(element, validate=True)


def _decode_datetime(element: Any) -> datetime:
    text: str = decode_text(element)
    return datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)  # Python 3.10 knows no Z


def _decode_json(element: Any) -> Any:
    value = json.loads(decode_text(element))
    check_depth(value)
    return value


DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "str": decode_text,
    "base64": _decode_base64,
    "datetime": _decode_datetime,
    "json": _decode_json,
}
"""The conversion of an element, text or bytes, for each content type that has one; raises ValueError, RecursionError or
PayloadError."""
