"""This package as a wheel, made of what is installed: for an image whose build cannot have it from an index.

The same bytes for the same installation, so that a builder takes the layer from its cache.

Source: PyPA specification "Binary distribution format".
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import seldon_spec
from seldon_spec import __version__

_DIST_INFO = f"seldon_spec-{__version__}.dist-info"
_WHEEL = "Wheel-Version: 1.0\nGenerator: seldon-spec\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_COPIED = ("METADATA", "entry_points.txt")
_OLDEST = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive."""

ASK_SECONDS = 60

WHEEL_NAME = f"seldon_spec-{__version__}-py3-none-any.whl"


def write_own_wheel(folder: Path) -> Path:
    """Write the wheel of the running package into a folder; returns its path."""
    path = folder / WHEEL_NAME
    record: list[str] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (*_modules(), *_metadata()):
            archive.writestr(_entry(name), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(content)}")
        record.append(f"{_DIST_INFO}/RECORD,,")
        archive.writestr(_entry(f"{_DIST_INFO}/RECORD"), "\n".join(record) + "\n")
    return path


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _OLDEST)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _modules() -> Iterator[tuple[str, bytes]]:
    """The package's files; in a source tree its schemas are reached by a link."""
    root = Path(str(seldon_spec.__file__)).parent
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
        for file in sorted(files):
            path = Path(folder) / file
            yield f"seldon_spec/{path.relative_to(root).as_posix()}", path.read_bytes()


def _metadata() -> Iterator[tuple[str, bytes]]:
    installed = importlib.metadata.distribution("seldon-spec")
    for name in _COPIED:
        yield f"{_DIST_INFO}/{name}", (installed.read_text(name) or "").encode()
    yield f"{_DIST_INFO}/WHEEL", _WHEEL.encode()


def is_on_index(index_url: str | None) -> bool:
    """Ask pip, with the settings that it has here, whether an index has exactly this version.

    Args:
        index_url: the image's own index; None: the one that pip is set up for.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "--no-input", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--dest", folder, *(["--index-url", index_url] if index_url else []), f"seldon-spec=={__version__}"]
        try:
            asked = subprocess.run(  # noqa: S603
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return asked.returncode == 0
