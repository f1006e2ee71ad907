"""The checksum of a model file."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_CHUNK = 1 << 20


def find_sha256(path: Path) -> str:
    """Return the SHA-256 checksum of a file, in hexadecimal digits.

    A file that has not changed since the last call is not read again.

    Raises:
        OSError: it cannot be read.
    """
    stat = path.stat()
    return _find(path.resolve(), stat.st_mtime_ns, stat.st_size, stat.st_ino)


@lru_cache(maxsize=64)
def _find(path: Path, *_changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
