"""The version that XGBoost records in its binary format UBJSON."""

from __future__ import annotations

import re

_VERSION = re.compile(rb"version\[#L\x00{7}\x03((?:i.|I..|l....|L........){3})", re.DOTALL)


def find_ubj_version(data: bytes) -> str | None:
    """Return the version of XGBoost in data of its binary format UBJSON."""
    found = _VERSION.search(data)
    if found is None:
        return None
    parts, rest = [], found[1]
    for _ in range(3):
        size = {b"i": 1, b"I": 2, b"l": 4, b"L": 8}[rest[:1]]
        parts.append(int.from_bytes(rest[1 : 1 + size], "big"))
        rest = rest[1 + size :]
    return ".".join(map(str, parts))
