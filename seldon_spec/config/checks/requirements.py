"""The kinds of requirements files, and their lines. Reads no file."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from seldon_spec.config.paths import is_file, is_folder
from seldon_spec.errors import Diagnostic, Position

_LOCAL_OPTION = re.compile(r"(?:-e|-f|--editable|--find-links)(?:\s*=\s*|\s*)(?P<path>.+)")
_EXTRAS = re.compile(r"\[[^\]/]*\]$")
_NAME = re.compile(r"(?:[\w./-]+::)?([A-Za-z0-9][A-Za-z0-9._-]*)")
HASH = re.compile(r"(^|\s)--(hash[=\s]|require-hashes)")
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tlz", ".tar.lzma")
_CREDENTIALS = re.compile(r"://[^/\s@:$]+:[^/\s@$]+@|://[^/\s:@$]{12,}@")

OTHER_FORMS = {
    "Pipfile": "pipenv requirements",
    "Pipfile.lock": "pipenv requirements",
    "poetry.lock": "poetry export",
    "pdm.lock": "pdm export",
    "pylock.toml": "uv export",
    "setup.py": 'a line "." in requirements.txt',
    "setup.cfg": 'a line "." in requirements.txt',
}
"""Files that list dependencies but cannot be installed, with the command that exports each to a requirements file."""


class LineKind(Enum):
    """The form of a requirements file, determined by its name; it selects the installer."""

    PIP = "a requirements file"
    UV_LOCK = "a lock file of uv"
    PYPROJECT = "a project file"
    CONDA = "a conda environment"


def kind_of(file: str) -> LineKind:
    """Return the kind of a file. pip reads no YAML, so every YAML file is a conda environment."""
    name = posixpath.basename(file)
    if name == "uv.lock":
        return LineKind.UV_LOCK
    if name == "pyproject.toml":
        return LineKind.PYPROJECT
    return LineKind.CONDA if name.lower().endswith((".yml", ".yaml")) else LineKind.PIP


def normalise(name: str) -> str:
    """Return a package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, slots=True)
class Line:
    """A requirement or an option of one file, continued lines joined.

    Attributes:
        kind: the syntax of ``text``: PIP also for the pip section of a conda environment.
        folder: the directory, within the folder, that relative paths in ``text`` refer to.
        is_constraint: from a constraints file, so that it installs nothing.
    """

    file: str
    number: int
    text: str
    written: str
    """The first line as the file has it."""
    kind: LineKind = LineKind.PIP
    folder: str = ""
    is_constraint: bool = False

    @property
    def name(self) -> str:
        """Return the normalised name of the package; empty for an option, a path or a URL."""
        if self.text.startswith("-"):
            return ""
        named = _NAME.match(
            posixpath.basename(self.text.partition("@")[0].strip()) if self.kind is LineKind.PIP else self.text
        )
        return normalise(named[1]) if named else ""

    @property
    def has_credentials(self) -> bool:
        """Return whether a URL in the line has a password or a token."""
        return _CREDENTIALS.search(self.text) is not None or _CREDENTIALS.search(self.written) is not None

    def names(self, package: str) -> bool:
        """Return whether the line asks for a package, by name or as an archive; ``package`` is normalised."""
        is_archive = self.text.partition(";")[0].strip().lower().endswith(ARCHIVES)
        return self.name == package or (is_archive and re.match(rf"{package}-\d", self.name) is not None)

    def position(self, folder: Path) -> Position:
        """Return the position of the whole line, which is masked where it holds credentials."""
        indent, width = len(self.written) - len(self.written.lstrip()), len(self.written.strip()) or 1
        position = Position(str(folder / self.file), self.number, indent + 1, width, self.written)
        return position.masked(position.column, width) if self.has_credentials else position


@dataclass(frozen=True, slots=True)
class Requirements:
    """The requirements of an image, and the files that their installation needs.

    Attributes:
        files: the requirements files and those that they include, as paths within the folder, each once, as read.
        parts: further files and directories of the folder that are installed, such as a wheel or a package.
        is_folder: the folder itself is installed, e.g. by ``-e .``, so that all of it is needed.
        is_hashed: a requirement has a hash, so that all must have one.
        lines: the requirements and options of all files.
        problems: includes that cannot be read, and files that their installer cannot read.
    """

    files: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    is_folder: bool = False
    is_hashed: bool = False
    lines: tuple[Line, ...] = ()
    problems: tuple[Diagnostic, ...] = ()

    def find(self, package: str) -> Line | None:
        """Return the first line that installs a package; ``package`` is normalised, e.g. ``seldon-spec``."""
        return next((line for line in self.lines if not line.is_constraint and line.names(package)), None)


def unquote(path: str) -> str:
    """Return a path without the quotes and escapes of a shell."""
    try:
        return " ".join(shlex.split(path))
    except ValueError:
        return path


def without_options(text: str) -> str:
    """Return a requirement without options such as ``--hash``."""
    return re.split(r"\s+-{1,2}[a-z]", text, maxsplit=1)[0].strip()


def local_paths(line: Line) -> Iterator[str]:
    """Yield the paths of the folder that a line installs or searches, not names, URLs and repositories."""
    if line.kind in (LineKind.CONDA, LineKind.UV_LOCK):
        return
    option = _LOCAL_OPTION.fullmatch(line.text) if line.kind is LineKind.PIP else None
    if line.text.startswith("-") and not option:
        return
    named = unquote(option["path"]) if option else without_options(line.text.partition(" ;")[0].partition("; ")[0])
    if "@" in named and not option:
        url = named.partition("@")[2].strip()
        named = url if url.startswith("file:") else "://"
    if named.startswith("file:/"):
        yield "."  # an absolute path can only be the folder in the image
        return
    if "://" in named:
        return
    is_path = named.startswith(".") or "/" in named or named.lower().endswith(ARCHIVES)
    if is_path or option is not None:
        yield posixpath.normpath(posixpath.join(line.folder, _EXTRAS.sub("", named.removeprefix("file:"))))


def is_package(folder: Path) -> bool:
    """Return whether a directory can be installed."""
    return is_folder(folder) and any(is_file(folder / name) for name in ("pyproject.toml", "setup.py"))


def requirements_files(value: str | Sequence[str]) -> tuple[str, ...]:
    """Return ``image.requirements`` as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)
