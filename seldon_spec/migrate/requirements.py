"""The change of requirements.txt: replace seldon-core by this package, and review pins that it required.

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
from seldon_spec.config.checks.requirement_files import read_requirements
from seldon_spec.config.checks.requirement_versions import excludes_own, own_requirement, own_requirements
from seldon_spec.config.checks.requirements import normalise
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
"""Packages that seldon-core restricts to old versions, so that its users pinned them too."""


_OLD_DEPENDENCIES = {
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
"""Modules of dependencies of seldon-core, each with its package; without dependencies of this package."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a requirements file.

    Attributes:
        before: None if the file does not exist.
        mentions: notes for the user, each with its position.
    """

    path: Path
    before: str | None
    after: str
    mentions: tuple[tuple[Position, str], ...] = ()

    def is_needed(self) -> bool:
        """Return whether the file changes."""
        return self.after != (self.before or "")

    def render(self) -> str:
        """Return the change as a unified diff, without lines that contain a secret."""
        texts = (self.before or "", self.after)
        old, new = ([_without_secret(line) for line in text.splitlines(keepends=True)] for text in texts)
        name = str(self.path)
        lines = difflib.unified_diff(old, new, name if self.before is not None else "/dev/null", name)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _without_secret(line: str) -> str:
    return "(line with a secret, not shown)\n" if is_secret("", line) else line


def plan_change(
    folder: Path, file: str, packages: Sequence[tuple[str, Position]], version: str, gathered: Gathered
) -> Change:
    """Plan the change of a requirements file.

    Args:
        folder: the migrated folder.
        file: the requirements file in it; it may be missing.
        packages: further requirements that the Dockerfile installs.
        version: the minimum version of this package; the upper bound is 1.
        gathered: receives errors of an unreadable file.
    """
    path = folder / file
    is_there = path.is_symlink() or path.exists()
    data = read_bounded(folder, path, gathered.problems) if is_there else None
    before = None
    if data is not None:
        try:
            before = data.decode("utf-8")
        except UnicodeDecodeError:
            gathered.leave_out(Position(str(path), 1, 1), file, "it is not UTF-8, so no change is suggested")
            return Change(path, "", "")
    elif is_there:
        return Change(path, "", "")
    # If one requirement has a hash, all need one; the image then installs this package separately.
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
            mentions.append((position, f"{requirement} is added to {file}, from which the image is installed"))
            mentions += _check_pin(requirement, position)
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
    """Yield the lines of the file, with this package in place of seldon-core."""
    is_there = bool(re.search(r"^\s*seldon[-_.]spec\b", text, re.MULTILINE | re.IGNORECASE))
    is_continuation = False
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if is_continuation:  # of a replaced line, such as its hashes
            is_continuation = line.rstrip("\r\n").endswith("\\")
            continue
        position = Position(str(path), number, 1)
        match = _NAME.match(line)
        is_requirement = match is not None and normalise(match["name"]) == "seldon-core"
        if not is_requirement and not is_old_package(line):
            mentions += _check_pin(line, position)
            yield line
            continue
        is_continuation = line.rstrip("\r\n").endswith("\\")
        if match is not None and is_requirement and match["extras"]:
            extras = match["extras"].strip("[]").strip()
            mentions.append(
                (position, f"the extra {extras} of seldon-core installed packages: add those that the class imports")
            )
        if not is_there and ours:
            is_there = True
            end = line[len(line.rstrip("\r\n")) :]
            yield f"{ours}{end}"


def _check_pin(line: str, position: Position) -> list[tuple[Position, str]]:
    """Return a note if the version of a requirement may be pinned for seldon-core only."""
    match = _NAME.match(line)
    if match is None or line.lstrip().startswith("-"):
        return []
    name, rest = normalise(match["name"]), match["rest"].partition(";")[0].strip()
    if name in _OLD_PINS and re.search(r"[<=~]", rest) and not _is_conflict(f"{name}{rest}"):
        return [(position, f"{name}{rest} may be pinned for seldon-core only: check whether it is still needed")]
    return []


def _conflicts(requirement: str, position: Position) -> list[Diagnostic]:
    """Return an error if a requirement of a RUN conflicts with seldon-spec."""
    if not _is_conflict(requirement):
        return []
    message = f"{requirement} cannot be installed: seldon-spec needs {own_requirement(Requirement(requirement).name)}"
    return [Diagnostic("requirement-conflict", message, Origin(OriginKind.FILE, position.file, position))]


def _is_conflict(requirement: str) -> bool:
    try:
        return excludes_own(Requirement(requirement))
    except ValueError:
        return False


def find_old_dependencies(
    folder: Path, files: Sequence[str], modules: Sequence[Import]
) -> Iterator[tuple[str, Position]]:
    """Yield the dependencies of seldon-core that the class imports and that nothing else installs."""
    lines = read_requirements(folder, files).lines
    packages = with_dependencies({*own_requirements(), *(line.name for line in lines if not line.is_constraint)})
    for each in modules:
        package = _OLD_DEPENDENCIES.get(each.top)
        if package and not is_provided(each.top, packages):
            packages.add(package)
            place = each.position
            yield package, Position(str(folder / place.file), place.line, place.column, place.width, place.text)
