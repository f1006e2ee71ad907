"""The JSON of values in an output."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson


def write_json(value: Any) -> bytes:
    """Return the JSON of a value: integers of any size are exact, NaN and infinity are null."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer of more than 64 bits, or half of a surrogate pair
        return json.dumps(_make_finite(value)).encode()


def _make_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _make_finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_make_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
