"""The change of requirements.txt: this package in place of the old one, and what was there for the old one's sake.

Source: the pins of release 1.18.2, contract section 10, "Dependency pins".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from seldon_spec.errors import Position
from seldon_spec.migrate.claims import Gathered
from seldon_spec.migrate.sources import read_bounded
from seldon_spec.migrate.variables import is_secret

_NAME = re.compile(r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\]]*\])?(?P<rest>[^#]*)")
_OLD_SOURCE = re.compile(r"seldon[-_]core(\.git|[@#&/?]|$)|egg=seldon[-_]core", re.IGNORECASE)
_BOUND = re.compile(r"(?P<operator>===?|<=?|~=)\s*(?P<version>[0-9]+(\.[0-9]+)*)")
_FLOOR = re.compile(r"(?P<name>[A-Za-z0-9._-]+)>=(?P<version>[0-9.]+)")

_OLD_PINS = frozenset(
    {"cryptography", "click", "flask", "flask-cors", "flask-opentracing", "gunicorn", "itsdangerous", "jaeger-client"}
    | {"jinja2", "jsonschema", "markupsafe", "opentracing", "grpcio-opentracing", "prometheus-client", "protobuf"}
    | {"pyyaml", "redis", "setuptools", "urllib3", "werkzeug"}
)
"""Packages that the old one held at old versions, so that its users pinned them beside it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a requirements file.

    Attributes:
        before: None where there is no file yet.
        mentions: what a person should look at, each with its place.
    """

    path: Path
    before: str | None
    after: str
    mentions: tuple[tuple[Position, str], ...] = ()

    def is_needed(self) -> bool:
        """Whether anything changes."""
        return self.after != (self.before or "")

    def _texts(self) -> tuple[str, str]:
        return self.before or "", self.after

    def render(self) -> str:
        """The change as a unified diff, without what a line says of an index's password."""
        old, new = ([_without_secret(line) for line in text.splitlines(keepends=True)] for text in self._texts())
        name = str(self.path)
        lines = difflib.unified_diff(old, new, name if self.before is not None else "/dev/null", name)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _without_secret(line: str) -> str:
    return "(a line that is not shown: it holds a secret)\n" if is_secret("", line) else line


def plan_change(
    folder: Path, file: str, packages: Sequence[tuple[str, Position]], version: str, gathered: Gathered
) -> Change:
    """Plan what a requirements file needs.

    Args:
        folder: that is migrated.
        file: the requirements file within it; it need not be there.
        packages: requirements that the Dockerfile installed beside the file.
        version: of this package; any later one below 1 will do as well.
        gathered: where a file that cannot be read is told.
    """
    path = folder / file
    data = read_bounded(path, gathered.problems) if path.is_file() else None
    before = None
    if data is not None:
        try:
            before = data.decode("utf-8")
        except UnicodeDecodeError:
            gathered.leave(Position(str(path), 1, 1), file, "it is not UTF-8, so no change of it is suggested")
            return Change(path, "", "")
    elif path.is_file():
        return Change(path, "", "")
    ours = f"seldon-spec>={version},<1"
    mentions: list[tuple[Position, str]] = []
    lines = list(_rewrite(before or "", path, ours, mentions))
    present = {normalise(match["name"]) for line in lines if (match := _NAME.match(line))}
    for requirement, position in packages:
        match = _NAME.match(requirement)
        name = normalise(match["name"]) if match else ""
        if name == "seldon-core":
            mentions.append((position, "seldon-core is not installed: the image has seldon-spec"))
        elif name and name not in present:
            present.add(name)
            lines = _append(lines, requirement)
            mentions.append((position, f"{requirement} is added to {file}: the image installs nothing else"))
            mentions += _judge(requirement, position)
    return Change(path, before, "".join(lines), tuple(mentions))


def normalise(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _append(lines: list[str], requirement: str) -> list[str]:
    if lines and not lines[-1].endswith("\n"):
        lines = [*lines[:-1], f"{lines[-1]}\n"]
    return [*lines, f"{requirement}\n"]


def _rewrite(text: str, path: Path, ours: str, mentions: list[tuple[Position, str]]) -> Iterator[str]:
    """The file's lines with this package for the old one, once."""
    is_there = bool(re.search(r"^\s*seldon[-_.]spec\b", text, re.MULTILINE | re.IGNORECASE))
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        position = Position(str(path), number, 1)
        match = _NAME.match(line)
        is_requirement = match is not None and normalise(match["name"]) == "seldon-core"
        if not is_requirement and not _OLD_SOURCE.search(line.partition(" #")[0].strip()):
            mentions += _judge(line, position)
            yield line
            continue
        if match is not None and is_requirement and match["extras"]:
            extras = match["extras"].strip("[]").strip()
            mentions.append(
                (position, f"the old package's extra {extras} brought packages: add those the class imports")
            )
        if not is_there:
            is_there = True
            end = line[len(line.rstrip("\r\n")) :]
            yield f"{ours}{end}"


def _judge(line: str, position: Position) -> list[tuple[Position, str]]:
    """What to look at in a requirement: one that this package cannot live with, or one of the old one's own."""
    match = _NAME.match(line)
    if match is None or line.lstrip().startswith("-"):
        return []
    name, rest = normalise(match["name"]), match["rest"].partition(";")[0].strip()
    needed = read_floors().get(name)
    if needed and _excludes(rest, needed):
        return [(position, f"{name}{rest}: seldon-spec needs {name}>={needed}")]
    if name in _OLD_PINS and re.search(r"[<=~]", rest):
        return [
            (position, f"{name}{rest} may be there for the old package's sake only: look whether it is still needed")
        ]
    return []


def _excludes(rest: str, needed: str) -> bool:
    """Whether a requirement admits no version from ``needed`` on."""
    for bound in _BOUND.finditer(rest):
        version, floor = _as_numbers(bound["version"]), _as_numbers(needed)
        operator = bound["operator"]
        if operator == "~=":
            version = (*version[:-2], version[-2] + 1) if len(version) > 1 else (version[0] + 1,)
            operator = "<"
        if version < floor or (operator == "<" and version <= floor):
            return True
    return False


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part[:9]) for part in version.strip(".").split("."))


def read_floors() -> dict[str, str]:
    """The oldest version of each package that this one needs, as its own metadata says; empty where there is none."""
    try:
        needed = requires("seldon-spec") or []
    except PackageNotFoundError:
        return {}
    return {normalise(m["name"]): m["version"] for text in needed if (m := _FLOOR.match(text)) and "extra" not in text}
