"""Check the imports of the class against the packages of the image, and the names of the folder's modules."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.distributions import (
    ADDED,
    BRINGS,
    REMOVED,
    is_provided,
    module_names,
    package_of,
    with_dependencies,
)
from seldon_spec.config.checks.extras import find_extras
from seldon_spec.config.checks.imports import Import, ImportScan
from seldon_spec.config.checks.needed_packages import needed_packages
from seldon_spec.config.checks.requirement_versions import is_installed, own_requirements, parse
from seldon_spec.config.checks.requirements import Line, LineKind, Requirements, local_paths, normalise
from seldon_spec.config.checks.target import Target
from seldon_spec.config.paths import exists, is_inside
from seldon_spec.config.schema.lookup import join
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Position, Severity

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_ALWAYS = frozenset({"seldon_spec", "seldon_core", "__future__", "__main__"})
_GPU_PACKAGES = {
    "pytorch": ("torch", "torchvision", "torchaudio"),
    "tensorflow": ("tensorflow",),
}
"""The importable packages of the bases of ``image.gpu``."""

_MAX_FOLLOWED = 500


def find_import_problems(
    context: RuleContext, requirements: Requirements, scan: ImportScan, target: Target
) -> Iterator[Diagnostic]:
    """Report imports that nothing in the image provides, and modules that an installed module shadows."""
    packages = _find_packages(context, requirements, target)
    yield from _missing(context, requirements, scan, target, packages)
    yield from _hidden_modules(context, scan, packages.names)


@dataclass(slots=True)
class _Packages:
    """The packages of the image.

    Attributes:
        names: the packages with the dependencies of well-known ones.
        extras: the requested extras, by package.
        guesses: probable names of packages from URLs, archives and directories.
        is_complete: nothing else is installed: no URL, path, base of the user or ``pip`` in the user's steps.
    """

    names: set[str]
    extras: dict[str, set[str]]
    guesses: set[str]
    is_complete: bool


def _find_packages(context: RuleContext, requirements: Requirements, target: Target) -> _Packages:
    names = {"seldon-spec", *(name for name, needed in own_requirements().items() if is_installed(needed, target))}
    extras = {"seldon-spec": set(find_extras(context.values.get(("server",)) or {}))}
    guesses: set[str] = set()
    after = " ".join(str(step) for step in context.values.get(("image", "steps", "after")) or [])
    is_complete = target.is_plain and "pip" not in target.steps + after
    is_complete = is_complete and not context.values.get(("image", "seldon_spec"))
    for line in requirements.lines:
        if line.is_constraint:
            continue
        if line.kind in (LineKind.CONDA, LineKind.UV_LOCK):
            names.add(line.name)
            is_complete = is_complete and line.kind is LineKind.UV_LOCK
            continue
        parsed = parse(line)
        if parsed is not None:
            if is_installed(parsed, target):
                names.add(normalise(parsed.name))
                extras.setdefault(normalise(parsed.name), set()).update(parsed.extras)
            is_complete = is_complete and parsed.url is None
        elif not line.text.startswith("-") or line.text.startswith(("-e", "--editable", "-r", "--requirement")):
            guesses |= _names_in_location(context.folder, line)
            is_complete = False
    gpu = context.values.get(("image", "gpu"))
    names = with_dependencies({*names, *_GPU_PACKAGES.get(gpu, ())})
    return _Packages(names, extras, guesses, is_complete and not requirements.problems)


def _names_in_location(folder: Path, line: Line) -> set[str]:
    """Return the names in a URL's fragment, of a repository or archive, and of the modules of a directory."""
    location, _, fragment = line.text.partition("#")
    file = re.split(r"[?@;\[]", location.rstrip("/").rpartition("/")[2])[0]
    names = {*re.findall(r"egg=([\w.-]+)", fragment), re.sub(r"\.git$|-\d.*", "", file).strip()}
    for path in local_paths(line):
        if is_inside(folder, path):
            found = (each for top in (path, f"{path}/src") for each in (folder / top).glob("*"))
            names |= {each.stem for each in found if each.suffix == ".py" or exists(each / "__init__.py")}
    return {normalise(name) for name in names if name}


def _missing(
    context: RuleContext, requirements: Requirements, scan: ImportScan, target: Target, packages: _Packages
) -> Iterator[Diagnostic]:
    wanted: dict[str, Import] = {}
    for each in scan.outside:
        known = wanted.get(each.top)
        if known is None or (each.is_certain and not known.is_certain):
            wanted[each.top] = each
    # An extra often has the name of the package that it adds: transformers[torch].
    names = packages.names.union(packages.guesses, *packages.extras.values())
    missing = [each for top, each in wanted.items() if not _is_available(top, names, target)]
    absent = {top: path for path, top in needed_packages(context) if not _is_available(top, names, target)}
    if not missing and not absent:
        return
    installed, is_known = _follow_installed(packages.names, packages.extras)
    is_locked = requirements.is_hashed or any(line.kind is LineKind.UV_LOCK for line in requirements.lines)
    for each in missing:
        if each.top in installed or _is_elsewhere(context, scan, each.top):
            continue
        is_error = each.is_certain and packages.is_complete and (is_known or is_locked)
        yield _report_missing(context, requirements, each, target, is_error=is_error)
    for top, path in absent.items():
        if top not in installed and top not in wanted:
            yield Diagnostic(
                "missing-requirement",
                f"{join(path)} needs {package_of(top)}, which no requirement of the image provides",
                context.item_origin(*path),
                Severity.ERROR if packages.is_complete and (is_known or is_locked) else Severity.WARNING,
                path,
                help=f"add {package_of(top)} to {_file_of(requirements)}",
            )


def _file_of(requirements: Requirements) -> str:
    return requirements.files[0] if requirements.files else "requirements.txt"


def _is_available(top: str, packages: set[str], target: Target) -> bool:
    if top in _ALWAYS or is_provided(top, packages):
        return True
    if top == "distutils" and "setuptools" in packages:
        return True
    minor = int(target.python.split(".")[1]) if target.python else 0
    if top in REMOVED:
        return minor < REMOVED[top]
    if top in ADDED and minor:
        return minor >= ADDED[top]
    return top in sys.stdlib_module_names


def _follow_installed(packages: set[str], extras: Mapping[str, set[str]]) -> tuple[set[str], bool]:
    """Return the modules of packages and their dependencies that are installed on this machine.

    Returns:
        The modules, and whether the dependencies of every package are known.
    """
    from importlib.metadata import PackageNotFoundError, distribution  # slow, and rarely needed

    modules: set[str] = set()
    seen: set[str] = set()
    pending = [*packages]
    is_known = True
    while pending and len(seen) < _MAX_FOLLOWED:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            is_known = is_known and (name in BRINGS or name in _TABLE_ONLY) and not extras.get(name)
            continue
        modules |= set(_modules_of(found))
        pending += _needs(found, extras.get(name, ()))
    return modules, is_known


_TABLE_ONLY = frozenset(name for others in BRINGS.values() for name in others)
"""Packages that occur only as dependencies; their own dependencies are not relevant to a class."""


def _modules_of(found: Distribution) -> Iterator[str]:
    listed = found.read_text("top_level.txt")
    if listed:
        yield from listed.split()
        return
    for file in found.files or ():
        if file.suffix == ".py":
            yield file.parts[0].removesuffix(".py")


def _needs(found: Distribution, extras: Iterable[str]) -> Iterator[str]:
    for text in found.requires or ():
        try:
            needed = Requirement(text)
        except ValueError:
            continue
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield normalise(needed.name)


def _is_elsewhere(context: RuleContext, scan: ImportScan, top: str) -> bool:
    """Return whether the module may be in a directory that the class adds to ``sys.path`` or that is in PYTHONPATH."""
    environment = {
        **(context.values.get(("image", "environment")) or {}),
        **(context.values.get(("environment",)) or {}),
    }
    return (scan.changes_path or "PYTHONPATH" in environment) and _home(context.folder, top) is not None


def _home(folder: Path, top: str) -> str | None:
    """Return the directory in the folder, at most two levels down, that has a module."""
    for pattern in ("*/", "*/*/"):
        for name in (f"{top}.py", top):
            for path in folder.glob(f"{pattern}{name}"):
                parts = path.relative_to(folder).parts
                if not any(part.startswith(".") or part == "site-packages" for part in parts):
                    return path.parent.relative_to(folder).as_posix()
    return None


def _report_missing(
    context: RuleContext, requirements: Requirements, each: Import, target: Target, *, is_error: bool
) -> Diagnostic:
    position = context.locate(each.position)
    file = _file_of(requirements)
    package = package_of(each.top)
    help_text = f"add {package} to {file}" + ("" if is_error else ", unless another requirement installs it")
    if home := _home(context.folder, each.top):
        help_text = (
            f"it is in {home}: import {home.replace('/', '.')}.{each.top}, or set PYTHONPATH in image.environment"
        )
    elif each.top in REMOVED:
        help_text = f"Python {target.python} removed it" + (
            f": add setuptools to {file}" if each.top == "distutils" else ": set image.python to an older version"
        )
    return Diagnostic(
        "missing-requirement",
        f"{each.position.file} imports {each.top}, which no requirement of the image provides",
        Origin(OriginKind.FILE, position.file, position),
        Severity.ERROR if is_error else Severity.WARNING,
        ("image", "requirements"),
        help=help_text,
    )


def _hidden_modules(context: RuleContext, scan: ImportScan, packages: set[str]) -> Iterator[Diagnostic]:
    """Report modules of the folder with the name of a module of the standard library or of an installed package."""
    taken = module_names(packages)
    imported = {file.partition("/")[0].removesuffix(".py") for file in scan.files}
    for path in sorted(context.folder.glob("*.py")):
        name = path.stem
        if name in taken or name in sys.stdlib_module_names or (name == "test" and name in imported):
            yield _report_hidden(context, path, name, taken)
    for name in sorted(imported):
        path = context.folder / name / "__init__.py"
        if (name in taken or name in sys.stdlib_module_names) and exists(path):
            yield _report_hidden(context, path, name, taken)


def _report_hidden(context: RuleContext, path: Path, name: str, taken: Mapping[str, str]) -> Diagnostic:
    owner = f"the package {taken[name]}" if name in taken else "Python's standard library"
    file = path.relative_to(context.folder).as_posix()
    return Diagnostic(
        "shadowed-module",
        f"{file} has the name of a module of {owner}, which is imported instead",
        Origin(OriginKind.FILE, str(path), Position(str(path), 1, 1)),
        Severity.WARNING,
        ("class_name",),
        help="rename the file",
    )
