"""The change of requirements.txt: this package in place of the old one, and what was there for the old one's sake.

Source: the pins of release 1.18.2, contract section 10, "Dependency pins".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from seldon_spec.config.checks.distributions import is_provided, with_dependencies
from seldon_spec.config.checks.imports import Import
from seldon_spec.config.checks.requirement_rules import excludes_own, own_requirement, own_requirements
from seldon_spec.config.checks.requirements import normalise, read_requirements
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Position
from seldon_spec.migrate.candidates import Gathered
from seldon_spec.migrate.sources import read_bounded
from seldon_spec.migrate.variables import is_secret

_NAME = re.compile(r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\]]*\])?(?P<rest>[^#]*)")
_OLD_SOURCE = re.compile(r"seldon[-_]core(\.git|[@#&/?]|$)|egg=seldon[-_]core", re.IGNORECASE)

_OLD_PINS = frozenset(
    {"cryptography", "click", "flask", "flask-cors", "flask-opentracing", "gunicorn", "itsdangerous", "jaeger-client"}
    | {"jinja2", "jsonschema", "markupsafe", "opentracing", "grpcio-opentracing", "prometheus-client", "protobuf"}
    | {"pyyaml", "redis", "setuptools", "urllib3", "werkzeug"}
)
"""Packages that the old one held at old versions, so that its users pinned them beside it."""


_OLD_BROUGHT = {
    **{name: name for name in ("cryptography", "gunicorn", "minio", "opentracing", "redis", "requests", "setuptools")},
    **{name: name for name in ("certifi", "idna", "six", "tornado", "urllib3")},
    "attr": "attrs",
    "flask_cors": "flask-cors",
    "flask_opentracing": "flask-opentracing",
    "grpc_opentracing": "grpcio-opentracing",
    "jaeger_client": "jaeger-client",
    "pkg_resources": "setuptools",
    "prometheus_client": "prometheus-client",
}
"""Modules that the old package brought into an image, with the package to install; what this one brings is not here."""


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
    is_there = path.is_symlink() or path.exists()
    data = read_bounded(folder, path, gathered.problems) if is_there else None
    before = None
    if data is not None:
        try:
            before = data.decode("utf-8")
        except UnicodeDecodeError:
            gathered.leave(Position(str(path), 1, 1), file, "it is not UTF-8, so no change of it is suggested")
            return Change(path, "", "")
    elif is_there:
        return Change(path, "", "")
    # Where one requirement has a hash every one must; the image then installs this package by itself.
    ours = "" if "--hash" in (before or "") else f"seldon-spec>={version},<1"
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
            gathered.problems += _conflicts(requirement, position)
    return Change(path, before, "".join(lines), tuple(mentions))


def is_old_package(line: str) -> bool:
    """Return whether a line installs the old package from its repository."""
    return _OLD_SOURCE.search(line.partition(" #")[0].strip()) is not None


def _append(lines: list[str], requirement: str) -> list[str]:
    if lines and not lines[-1].endswith("\n"):
        lines = [*lines[:-1], f"{lines[-1]}\n"]
    return [*lines, f"{requirement}\n"]


def _rewrite(text: str, path: Path, ours: str, mentions: list[tuple[Position, str]]) -> Iterator[str]:
    """The file's lines with this package for the old one, once."""
    is_there = bool(re.search(r"^\s*seldon[-_.]spec\b", text, re.MULTILINE | re.IGNORECASE))
    is_rest = False
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if is_rest:  # of a line that is replaced, such as its hashes
            is_rest = line.rstrip("\r\n").endswith("\\")
            continue
        position = Position(str(path), number, 1)
        match = _NAME.match(line)
        is_requirement = match is not None and normalise(match["name"]) == "seldon-core"
        if not is_requirement and not is_old_package(line):
            mentions += _judge(line, position)
            yield line
            continue
        is_rest = line.rstrip("\r\n").endswith("\\")
        if match is not None and is_requirement and match["extras"]:
            extras = match["extras"].strip("[]").strip()
            mentions.append(
                (position, f"the old package's extra {extras} brought packages: add those the class imports")
            )
        if not is_there and ours:
            is_there = True
            end = line[len(line.rstrip("\r\n")) :]
            yield f"{ours}{end}"


def _judge(line: str, position: Position) -> list[tuple[Position, str]]:
    """What to look at in a requirement: a version that may have been pinned for the old package."""
    match = _NAME.match(line)
    if match is None or line.lstrip().startswith("-"):
        return []
    name, rest = normalise(match["name"]), match["rest"].partition(";")[0].strip()
    if name in _OLD_PINS and re.search(r"[<=~]", rest) and not _is_conflict(f"{name}{rest}"):
        return [(position, f"{name}{rest} may be pinned for seldon-core only: check whether it is still needed")]
    return []


def _conflicts(requirement: str, position: Position) -> list[Diagnostic]:
    """An error for a requirement of a RUN with which seldon-spec cannot be installed."""
    if not _is_conflict(requirement):
        return []
    message = f"{requirement} cannot be installed: seldon-spec needs {own_requirement(Requirement(requirement).name)}"
    return [Diagnostic("requirement-conflict", message, Origin(OriginKind.FILE, position.file, position))]


def _is_conflict(requirement: str) -> bool:
    try:
        return excludes_own(Requirement(requirement))
    except ValueError:
        return False


def find_brought(folder: Path, files: Sequence[str], modules: Sequence[Import]) -> Iterator[tuple[str, Position]]:
    """Yield the packages that seldon-core installed, that the class imports, and that nothing else installs."""
    lines = read_requirements(folder, files).lines
    packages = with_dependencies({*own_requirements(), *(line.name for line in lines if not line.is_constraint)})
    for each in modules:
        package = _OLD_BROUGHT.get(each.top)
        if package and not is_provided(each.top, packages):
            packages.add(package)
            place = each.place
            yield package, Position(str(folder / place.file), place.line, place.column, place.width, place.text)
