"""What a file of requirements says, as far as an image must know it: what it includes, what of the folder it installs.

Knows no Dockerfile and judges nothing. Of the folder it reads the requirements files alone.

Source: pip's documentation, "Requirements File Format"; uv's, "Locking and syncing"; conda's, "Managing environments".
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from seldon_spec.errors import Position
from seldon_spec.spec.paths import exists, is_file

_COMMENT = re.compile(r"(^|\s)#.*$")
_INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s*=\s*|\s*)(?P<path>.+)")
_LOCAL_OPTION = re.compile(r"(?:-e|-f|--editable|--find-links)(?:\s*=\s*|\s*)(?P<path>.+)")
_EXTRAS = re.compile(r"\[[^\]/]*\]$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HASH = re.compile(r"(^|\s)--(hash[=\s]|require-hashes)")
_ARCHIVES = (".whl", ".tar.gz", ".zip")


class Kind(Enum):
    """Who reads a file of requirements; told by its name alone."""

    PIP = "a requirements file"
    UV_LOCK = "a lock of uv"
    PYPROJECT = "a project's table"
    CONDA = "an environment of conda"


def kind_of(file: str) -> Kind:
    """The kind of a file, by its name: every name that is none of the others is pip's."""
    name = posixpath.basename(file)
    if name == "uv.lock":
        return Kind.UV_LOCK
    if name == "pyproject.toml":
        return Kind.PYPROJECT
    return Kind.CONDA if name in ("environment.yml", "environment.yaml") else Kind.PIP


@dataclass(frozen=True, slots=True)
class Line:
    """A requirement or an option of one file, continued lines joined."""

    file: str
    number: int
    text: str
    written: str
    """The line as the file has it, without what continues it."""

    def names(self, package: str) -> bool:
        """Whether it asks for a package, by its name or as an archive of it; ``package`` is in its normal form."""
        named = _NAME.match(posixpath.basename(self.text.partition("@")[0].strip()))
        if named is None or self.text.startswith("-"):
            return False
        normal = re.sub(r"[-_.]+", "-", named[0]).lower()
        is_archive = self.text.partition(";")[0].strip().lower().endswith(_ARCHIVES)
        return normal == package or (is_archive and re.match(rf"{package}-\d", normal) is not None)

    def position(self, folder: Path) -> Position:
        """Where it stands, whole."""
        indent = len(self.written) - len(self.written.lstrip())
        return Position(str(folder / self.file), self.number, indent + 1, len(self.written.strip()) or 1, self.written)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What has to be in the image before its requirements are installed, and what they say.

    Attributes:
        files: the requirements files and those that they include, as paths within the folder, each once, as read.
        parts: further files and folders of the folder which they install, such as a wheel or a package beside the code.
        is_folder: the folder itself is installed, such as by ``-e .``: all of it is needed.
        is_hashed: a requirement gives a hash, so that every one must.
        lines: the requirements and options of pip's files.
    """

    files: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    is_folder: bool = False
    is_hashed: bool = False
    lines: tuple[Line, ...] = ()

    def find(self, package: str) -> Line | None:
        """The first line that asks for a package; ``package`` is in its normal form, e.g. ``seldon-spec``."""
        return next((line for line in self.lines if line.names(package)), None)


def read_requirements(folder: Path, files: Sequence[str]) -> Requirements:
    """Follow requirements files and what they include.

    Args:
        folder: the user's folder.
        files: paths within it. One that is not there, or is outside the folder, is left to the installer.
    """
    read: list[str] = []
    lines: list[Line] = []
    for file in files:
        _follow(folder, posixpath.normpath(file), read, lines)
    local = [path for line in lines for path in _local_paths(line.text)]
    parts = dict.fromkeys(path for path in local if _is_within(path) and exists(folder / path))
    return Requirements(
        tuple(read),
        tuple(path for path in parts if path not in read),
        is_folder="." in local,
        is_hashed=any(_HASH.search(line.text) for line in lines),
        lines=tuple(lines),
    )


def _is_within(path: str) -> bool:
    return path != "." and not path.startswith(("/", "../")) and path != ".."


def _follow(folder: Path, file: str, read: list[str], lines: list[Line]) -> None:
    if file in read or not _is_within(file) or not is_file(folder / file):
        return
    read.append(file)
    if kind_of(file) is not Kind.PIP:
        lines.extend(_foreign_lines(folder, file))
        project = posixpath.join(posixpath.dirname(file), "pyproject.toml")
        if kind_of(file) is Kind.UV_LOCK and is_file(folder / project):
            read.append(project)  # uv reads a lock beside the project that it locks
        return
    for line in _lines(folder, file):
        if included := _INCLUDE.fullmatch(line.text):
            path = posixpath.join(posixpath.dirname(file), _unquote(included["path"]))
            _follow(folder, posixpath.normpath(path), read, lines)
        else:
            lines.append(line)


def _read(folder: Path, file: str) -> list[str]:
    return (folder / file).read_text(encoding="utf-8", errors="replace").splitlines()


def _lines(folder: Path, file: str) -> Iterator[Line]:
    joined, start, first = "", 0, ""
    for number, text in enumerate(_read(folder, file), 1):
        if not joined:
            start, first = number, text
        if text.endswith("\\"):
            joined += text[:-1] + " "
            continue
        if stripped := _COMMENT.sub("", joined + text).strip():
            yield Line(file, start, stripped, first)
        joined = ""
    if stripped := _COMMENT.sub("", joined).strip():
        yield Line(file, start, stripped, first)


_FOREIGN_NAMES = {
    Kind.CONDA: re.compile(r"""^\s*-\s*["']?([A-Za-z0-9][\w.-]*)"""),
    Kind.UV_LOCK: re.compile(r'^name\s*=\s*"([A-Za-z0-9][\w.-]*)"'),
    Kind.PYPROJECT: re.compile(r"""["']([A-Za-z0-9][\w.-]*)"""),
}
"""A package's name: an item of a YAML list, the name of a table, a text in quotes."""


def _foreign_lines(folder: Path, file: str) -> Iterator[Line]:
    pattern = _FOREIGN_NAMES[kind_of(file)]
    for number, text in enumerate(_read(folder, file), 1):
        for named in pattern.finditer(text):
            yield Line(file, number, named[1], text)


def _unquote(path: str) -> str:
    try:
        return " ".join(shlex.split(path))
    except ValueError:
        return path


def _local_paths(line: str) -> Iterator[str]:
    """What of the folder a line names, rather than something of an index, of a URL or of a repository."""
    option = _LOCAL_OPTION.fullmatch(line)
    if line.startswith("-") and not option:
        return
    named = _unquote(option["path"]) if option else re.split(r"\s+--|\s*;", line)[0].strip()
    if "@" in named and not option:
        url = named.partition("@")[2].strip()
        named = url if url.startswith("file:") else "://"
    if named.startswith("file:/"):
        yield "."  # an absolute path can only mean the folder's place in the image
        return
    if "://" in named:
        return
    is_path = named.startswith(".") or "/" in named or named.lower().endswith(_ARCHIVES)
    if is_path or option is not None:
        yield posixpath.normpath(_EXTRAS.sub("", named.removeprefix("file:")))
