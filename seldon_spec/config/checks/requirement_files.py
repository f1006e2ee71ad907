"""Read requirements files with their includes, up to limits: each line with its position.

Reads nothing but requirements files in the folder. Whether a line can be installed is decided by ``requirement_rules``.

Source: pip's documentation, "Requirements File Format"; uv's, "Locking and syncing"; conda's, "Managing environments".
"""

from __future__ import annotations

import codecs
import posixpath
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seldon_spec.config.checks.requirements import (
    HASH,
    OTHER_FORMS,
    Line,
    LineKind,
    Requirements,
    kind_of,
    local_paths,
    unquote,
)
from seldon_spec.config.paths import exists, is_file, is_inside
from seldon_spec.config.yaml.document import Node
from seldon_spec.config.yaml.parser import parse_document
from seldon_spec.errors import Diagnostic, Origin, OriginKind

MAX_FILES = 100
MAX_BYTES = 8 * 1024 * 1024

MAX_LINES = 100_000
"""Limits on all files together; a lock file with hashes can have tens of thousands of lines."""

_COMMENT = re.compile(r"(^|\s+)#.*$")
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
_INCLUDE = re.compile(r"(?P<option>-r|-c|--requirement|--constraint)(?:\s*=\s*|\s*)(?P<path>.+)")

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_requirements(folder: Path, files: Sequence[str]) -> Requirements:
    """Read requirements files and what they include.

    Args:
        folder: the user's folder.
        files: paths within it. A missing one is skipped: the rule for ``image.requirements`` reports it.
    """
    reader = _Reader(folder)
    for file in files:
        reader.follow(posixpath.normpath(file))
    local = [path for line in reader.lines for path in _local_paths(folder, line)]
    parts = dict.fromkeys(path for path in local if is_within(path) and exists(folder / path))
    return Requirements(
        tuple(reader.read),
        tuple(path for path in parts if path not in reader.read),
        is_folder="." in local,
        is_hashed=any(HASH.search(line.text) for line in reader.lines),
        lines=tuple(reader.lines),
        problems=tuple(reader.problems),
    )


def is_within(path: str) -> bool:
    """Return whether a normalised path names something below the folder."""
    return path != "." and not path.startswith(("/", "../")) and path != ".." and "\0" not in path


@dataclass(slots=True)
class _Reader:
    """Follows includes depth first, without recursion, until a limit is reached."""

    folder: Path
    read: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    bytes_left: int = MAX_BYTES
    lines_left: int = MAX_LINES

    def follow(self, file: str) -> None:
        """Read a file and its includes, each at the position of its line."""
        pending = [(file, self.open(file, None, is_constraint=False))]
        while pending:
            line = next(pending[-1][1], None)
            if line is None:
                pending.pop()
                continue
            included = _INCLUDE.fullmatch(line.text) if line.kind is LineKind.PIP else None
            if included is None:
                self.lines.append(line)
                continue
            text = unquote(included["path"])
            if "://" in text:
                self.lines.append(line)
                continue
            path = posixpath.normpath(posixpath.join(posixpath.dirname(line.file), text))
            if path in [name for name, _ in pending]:
                help_text = "delete the line"
                self.report("bad-requirement", line, f"{line.file} includes {path}, which includes it again", help_text)
                continue
            is_constraint = line.is_constraint or included["option"] in ("-c", "--constraint")
            pending.append((path, self.open(path, line, is_constraint=is_constraint)))

    def report(
        self, code: str, line: Line, message: str, help_text: str | None = None, found: str | None = None
    ) -> None:
        """Add an error at a line."""
        position = line.position(self.folder)
        origin = Origin(OriginKind.FILE, position.file, position)
        self.problems.append(
            Diagnostic(code, message, origin, path=("image", "requirements"), found=found, help=help_text)
        )

    def open(self, file: str, include: Line | None, *, is_constraint: bool) -> Iterator[Line]:
        """Return the lines of a file; none, and a problem at the including line, where it cannot be read."""
        if file in self.read or not self.is_readable(file, include):
            return iter(())
        data = self.load(file, include)
        if data is None:
            return iter(())
        self.read.append(file)
        kind = kind_of(file)
        if posixpath.basename(file) in OTHER_FORMS:
            return iter(())
        if kind is LineKind.PIP:
            return self.pip_lines(file, data, is_constraint=is_constraint)
        if kind is LineKind.UV_LOCK:
            project = posixpath.join(posixpath.dirname(file), "pyproject.toml")
            if is_file(self.folder / project):
                self.read.append(project)  # uv needs the project of the lock file
        reader = {
            LineKind.CONDA: self.conda_lines,
            LineKind.PYPROJECT: self.project_lines,
            LineKind.UV_LOCK: self.lock_lines,
        }
        return reader[kind](file, data)

    def is_readable(self, file: str, include: Line | None) -> bool:
        """Return whether there is such a file in the folder; report it at the including line where there is none."""
        if is_within(file) and is_inside(self.folder, file) and is_file(self.folder / file):
            return True
        if include is None:
            return False
        if exists(self.folder / file) and is_inside(self.folder, file):
            self.report("no-such-file", include, f"{include.file} includes {file}, which is not a regular file")
        elif is_within(file) and (is_inside(self.folder, file) or "\\" in file):
            help_text = 'write "/" between directories' if "\\" in include.text else None
            self.report("no-such-file", include, f"{include.file} includes {file}, which does not exist", help_text)
        else:
            self.report(
                "outside-folder",
                include,
                f"{include.file} includes {file}, which is outside the folder",
                "the image is built from the folder alone: copy the file into it",
            )
        return False

    def load(self, file: str, include: Line | None) -> bytes | None:
        at = include or Line(file, 1, "", "")
        try:
            with (self.folder / file).open("rb") as stream:
                data = stream.read(self.bytes_left + 1)
        except OSError as error:
            self.report("no-such-file", at, f"{file} cannot be read: {error.strerror or error}")
            return None
        lines = data.count(b"\n")
        if len(data) > self.bytes_left or lines > self.lines_left or len(self.read) >= MAX_FILES:
            if not any(problem.code == "limit" for problem in self.problems):
                self.report(
                    "limit",
                    at,
                    f"the requirements files are too large or too many to read: stopped at {file}",
                    f"at most {MAX_FILES} files, {MAX_LINES:,} lines and {MAX_BYTES:,} bytes are read",
                )
            return None
        self.bytes_left -= len(data)
        self.lines_left -= lines
        return data

    def pip_lines(self, file: str, data: bytes, *, is_constraint: bool) -> Iterator[Line]:
        text, is_readable = decode(data)
        if not is_readable:
            message = f"{file} is not UTF-8 and declares no other encoding: pip cannot read it"
            self.report("encoding", Line(file, 1, "", ""), message, "save it as UTF-8")
        for number, joined, first in _join_lines(text.splitlines()):
            if stripped := _COMMENT.sub("", joined).strip():
                yield Line(file, number, stripped, first, is_constraint=is_constraint)

    def conda_lines(self, file: str, data: bytes) -> Iterator[Line]:
        """Yield the dependencies, and the lines of the pip section, which are relative to the file's directory."""
        document = parse_document(data, str(self.folder / file))
        self.problems += [problem for problem in document.problems if problem.code != "yaml-surprise"]
        root = document.root.value if document.root else None
        entry = root.get("dependencies") if isinstance(root, dict) else None
        if document.root is not None and entry is None and not document.problems:
            message = f"{file} is not a conda environment: it has no dependencies"
            self.report(
                "bad-requirement", Line(file, 1, "", ""), message, "a requirements file of pip must not be named *.yml"
            )
        for item in _items(entry.node if entry else None):
            if isinstance(item.value, dict):
                for pip_item in _items(item.value["pip"].node if "pip" in item.value else None):
                    folder = posixpath.dirname(file)
                    if text := _COMMENT.sub("", pip_item.text).strip():
                        at = pip_item.position
                        yield Line(file, at.line, text, at.text, folder=folder)
            elif item.text:
                yield Line(file, item.position.line, item.text, item.position.text, LineKind.CONDA)

    def project_lines(self, file: str, data: bytes) -> Iterator[Line]:
        """Yield the dependencies of the project, the only part that ``uv pip install -r`` installs."""
        table = self.toml(file, data)
        if table is None:
            return
        text = data.decode("utf-8", "replace")
        project, tool = _table(table, "project"), _table(table, "tool")
        wanted = project.get("dependencies")
        is_dynamic = "dependencies" in (project.get("dynamic") or [])
        elsewhere = [
            *(["[tool.poetry.dependencies]"] if _table(tool, "poetry").get("dependencies") else []),
            *(["[dependency-groups]"] if table.get("dependency-groups") else []),
            *(["[project.optional-dependencies]"] if project.get("optional-dependencies") else []),
        ]
        if not wanted and not is_dynamic and (elsewhere or not project):
            what = f" in {' and '.join(elsewhere)}" if elsewhere else ""
            self.report(
                "bad-requirement",
                _line_of(file, text, elsewhere[0].split(".dep")[0].rstrip("]") if elsewhere else ""),
                f"{file} has no [project] with dependencies, so the image would install nothing{what}",
                "list the dependencies in [project], or export them to a requirements file"
                if elsewhere
                else "add a table [project] with dependencies",
            )
        for item in wanted if isinstance(wanted, list) else ():
            if isinstance(item, str):
                found = _line_of(file, text, item)
                yield Line(file, found.number, item, found.written, LineKind.PYPROJECT)
        if is_dynamic:
            found = _line_of(file, text, "dynamic")
            yield Line(file, found.number, ".", found.written, LineKind.PYPROJECT, posixpath.dirname(file))

    def lock_lines(self, file: str, data: bytes) -> Iterator[Line]:
        """Yield the names of the locked packages."""
        table = self.toml(file, data)
        project = posixpath.join(posixpath.dirname(file), "pyproject.toml")
        if not exists(self.folder / project):
            message = f"uv reads {file} together with {project}, which does not exist"
            self.report("no-such-file", Line(file, 1, "", ""), message)
        text = data.decode("utf-8", "replace")
        numbers = {
            match[1]: (number, line)
            for number, line in reversed(list(enumerate(text.splitlines(), 1)))
            if (match := re.match(r'name\s*=\s*"([^"]+)"', line))
        }
        packages = table.get("package") if table else None
        for package in packages if isinstance(packages, list) else ():
            name = package.get("name") if isinstance(package, dict) else None
            if isinstance(name, str):
                number, written = numbers.get(name, (1, ""))
                yield Line(file, number, name, written, LineKind.UV_LOCK)

    def toml(self, file: str, data: bytes) -> dict[str, Any] | None:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
        try:
            table: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            self.report("bad-requirement", Line(file, 1, "", ""), f"{file} is not TOML: {error}")
            return None
        return table


def decode(data: bytes) -> tuple[str, bool]:
    """Decode a requirements file as pip does.

    Returns:
        The text, and False if pip, whose locale in an image is UTF-8, cannot decode it.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(encoding, "replace"), True
    for line in data.split(b"\n")[:2]:
        named = _CODING.search(line) if line.startswith(b"#") else None
        if named:
            try:
                return data.decode(named[1].decode()), True
            except (LookupError, ValueError):
                return data.decode("latin-1"), False
    try:
        return data.decode("utf-8"), True
    except UnicodeDecodeError:
        return data.decode("latin-1"), False


def _join_lines(lines: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield each logical line with the number and the text of its first line; a comment ends a continuation."""
    parts: list[str] = []
    start, first = 0, ""
    for number, text in enumerate(lines, 1):
        if not parts:
            start, first = number, text
        is_comment = _COMMENT.match(text) is not None
        if text.endswith("\\") and not is_comment:
            parts.append(text.removesuffix("\\"))
            continue
        yield start, "".join([*parts, f" {text}" if is_comment else text]), first
        parts = []
    if parts:
        yield start, "".join(parts), first


def _items(node: Node | None) -> list[Node]:
    return node.value if node is not None and isinstance(node.value, list) else []


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _line_of(file: str, text: str, part: str) -> Line:
    """Return the first line that contains a text; the first of the file where none does."""
    for number, line in enumerate(text.splitlines(), 1):
        if part and part in line:
            return Line(file, number, part, line)
    return Line(file, 1, part, "")


def _local_paths(folder: Path, line: Line) -> Iterator[str]:
    for path in local_paths(line):
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(line.file), path))
        is_links = line.text.startswith(("-f", "--find-links"))
        yield beside if is_links and exists(folder / beside) else path
