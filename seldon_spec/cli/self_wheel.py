"""A wheel of the running package, for image builds whose package index does not have this version.

The same installation gives the same bytes, so that the builder can cache the layer.

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
from pathlib import Path

import seldon_spec
from seldon_spec import __version__

WHEEL_NAME = f"seldon_spec-{__version__}-py3-none-any.whl"
INDEX_TIMEOUT_SECONDS = 60

_WHEEL = "Wheel-Version: 1.0\nGenerator: seldon-spec\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def write_self_wheel(folder: Path) -> Path:
    """Write the wheel of the running package into a folder; return its path."""
    path, info = folder / WHEEL_NAME, f"seldon_spec-{__version__}.dist-info"
    installed = importlib.metadata.distribution("seldon-spec")
    files = _read_package()
    for name in ("METADATA", "entry_points.txt"):
        files[f"{info}/{name}"] = (installed.read_text(name) or "").encode()
    files[f"{info}/WHEEL"] = _WHEEL.encode()
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _TIMESTAMP)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return path


def _read_package() -> dict[str, bytes]:
    """Return the files of the package by name; in a source tree, its schemas are behind a link."""
    root = Path(str(seldon_spec.__file__)).parent
    files = {}
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
        for path in (Path(folder) / name for name in sorted(names)):
            files[f"seldon_spec/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    return files


def is_on_index(index_url: str | None) -> bool:
    """Return whether pip, with its settings on this host, can download exactly this version.

    Args:
        index_url: the package index of the image; None for the one that pip is configured for.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "--no-input", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--dest", folder, *(["--index-url", index_url] if index_url else []), f"seldon-spec=={__version__}"]
        try:
            result = subprocess.run(  # noqa: S603
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=INDEX_TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return result.returncode == 0
