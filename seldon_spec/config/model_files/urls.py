"""URLs of model files: the schemes with what they need, and where the files are. Nothing is read from the network."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from urllib.parse import SplitResult, unquote, urlsplit

SCHEMES: Mapping[str, str | None] = MappingProxyType(
    {"https": None, "http": None, "s3": "s3fs", "gs": "gcsfs", "file": None}
)
"""The schemes, each with the module that reads it; None: the standard library does."""

IMAGE_FOLDER = ".seldon-models"
"""The folder beside seldon.yaml in an image that has the files of URLs."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(path: str) -> bool:
    """Return whether a path is a URL, of any scheme."""
    return _URL.match(path) is not None


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case."""
    return url.partition(":")[0].lower()


def find_problem(url: str) -> str | None:
    """Return what is wrong with a URL; None: nothing."""
    parts = _split(url)
    if parts is None:
        return "it is not a valid URL"
    if scheme_of(url) not in SCHEMES:
        return f"the scheme {scheme_of(url)} is not supported"
    if parts.username is not None or parts.password is not None:
        return "it contains a user name or a password"
    if scheme_of(url) == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            return "the path of a file must be absolute: file:///models/iris.joblib"
    elif not parts.netloc:
        return "it has no host or bucket"
    return None if name_of(url) else "it names no file"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port is None or parts.port else None
    except ValueError:
        return None


def name_of(path: str) -> str:
    """Return the name of the file of a path or a URL; empty: it has none."""
    if not is_url(path):
        return PurePosixPath(path).name
    parts = _split(path)
    name = "" if parts is None else PurePosixPath(unquote(parts.path)).name
    return "" if name in (".", "..") or "/" in name or "\0" in name else name


def show_path(path: str) -> str:
    """Return a path or a URL for logs and diagnostics: a user, a password and the query, often a token, are hidden."""
    if not is_url(path):
        return path
    parts = _split(path)
    if parts is None:
        return f"{scheme_of(path)}://***"
    host = parts.netloc.rpartition("@")
    shown = f"{parts.scheme}://{'***@' if host[1] else ''}{host[2]}{parts.path}"
    return f"{shown}?***" if parts.query else shown


def key_of(url: str, sha256: str | None) -> str:
    """Return the name of the folder for the file of a URL."""
    return hashlib.sha256(f"{url}\n{sha256 or ''}".encode()).hexdigest()[:32]


def find_local(folder: Path, path: str, sha256: str | None) -> Path:
    """Return where a model file is without a download; of a URL, the file exists only if the image has it.

    Args:
        folder: of the spec.
        path: of the file in the folder, or a URL.
        sha256: its checksum, if it is known.
    """
    if not is_url(path):
        return folder / path
    if scheme_of(path) == "file":
        parts = _split(path)
        return Path(unquote(parts.path) if parts is not None else "/")
    return folder / IMAGE_FOLDER / key_of(path, sha256) / (name_of(path) or "model")
