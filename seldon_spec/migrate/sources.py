"""Finding and reading the old files of a folder, with limits. Independent of their format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from seldon_spec.config.model import SPEC_FILE
from seldon_spec.config.paths import exists, is_file, leaving_link
from seldon_spec.config.yaml.parser import MAX_BYTES
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Position
from seldon_spec.migrate.candidates import Gathered

MAX_FILES = 500
"""Maximum number of files searched for manifests."""

S2I_FILE = Path(".s2i", "environment")
CONTRACT_FILE = Path("contract.json")
RENDERED = b"# Rendered by seldon-spec"

_DOCKERFILE = re.compile(r"(Dockerfile|Containerfile)(\..+)?|.+\.(Dockerfile|Containerfile)", re.IGNORECASE)
_OF_SELDON = re.compile(rb"seldon|MODEL_NAME|/s2i/bin/run", re.IGNORECASE)
_RESOURCE = re.compile(rb"Deployment|InferenceService|HorizontalPodAutoscaler|NetworkPolicy|ServiceMonitor|PodMonitor")
_MANIFEST_SUFFIXES = (".yaml", ".yml", ".json")


def read_bounded(folder: Path, path: Path, problems: list[Diagnostic]) -> bytes | None:
    """Return the bytes of a file; None if it is missing, or is not read, which adds a problem.

    Links that leave the folder are not followed, and pipes and devices are not opened.
    """
    link = leaving_link(folder, path)
    if link is not None:
        help_text = "copy the file into the folder"
        message = f"{link} is a link that leaves the folder: it is not read"
        problems.append(Diagnostic("outside-folder", message, _origin(link), help=help_text))
        return None
    if not exists(path):
        return None
    if not is_file(path):
        problems.append(Diagnostic("no-file", f"{path} is not a regular file: it is not read", _origin(path)))
        return None
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        problems.append(Diagnostic("no-file", f"{path} cannot be read: {error.strerror or error}", _origin(path)))
        return None
    if len(data) > MAX_BYTES:
        allowed = f"at most {MAX_BYTES:,} bytes"
        problems.append(Diagnostic("limit", f"{path} is too large to be read", _origin(path), allowed=allowed))
        return None
    return data


def _origin(path: Path) -> Origin:
    return Origin(OriginKind.FILE, str(path), Position(str(path), 1, 1))


def find_dockerfiles(folder: Path, problems: list[Diagnostic]) -> list[tuple[Path, bytes]]:
    """Return the Dockerfiles of a Seldon image, in order of increasing precedence: the file named Dockerfile is last.

    Files rendered by this package are left out; a file with another name must mention Seldon.
    """
    names = sorted(path for path in folder.iterdir() if _DOCKERFILE.fullmatch(path.name) and not path.is_dir())
    found = []
    for path in sorted(names, key=lambda path: (_is_plain(path), path.name)):
        data = read_bounded(folder, path, problems)
        if data is not None and RENDERED not in data[:1000] and (_is_plain(path) or _OF_SELDON.search(data)):
            found.append((path, data))
    return found


def _is_plain(path: Path) -> bool:
    return path.name.lower() in ("dockerfile", "containerfile")


def find_manifests(folder: Path, gathered: Gathered) -> list[tuple[Path, bytes]]:
    """Return the files that may contain manifests of a server, in the folder and its direct subfolders.

    Unreadable and too large files are ignored; links that leave the folder are reported.
    """
    found = []
    for path in sorted(_iterate_manifests(folder))[:MAX_FILES]:
        if leaving_link(folder, path) is not None:
            why = "a link that leaves the folder is not read: copy the file into the folder if it is a manifest"
            gathered.leave_out(Position(str(path), 1, 1), path.name, why)
            continue
        data = read_bounded(folder, path, [])
        if data is not None and _RESOURCE.search(data):
            found.append((path, data))
    return found


def _iterate_manifests(folder: Path) -> Iterator[Path]:
    for pattern in ("*", "*/*"):
        for path in folder.glob(pattern):
            is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            is_ours = path.name in (SPEC_FILE, CONTRACT_FILE.name)
            if path.suffix.lower() in _MANIFEST_SUFFIXES and path.is_file() and not is_hidden and not is_ours:
                yield path
