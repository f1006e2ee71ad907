"""The name of the class, checked against the modules of the folder."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from pathlib import Path

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.class_source import NoModule, read_class
from seldon_spec.config.checks.python_source import split_class_name
from seldon_spec.config.paths import leaves, leaving_link
from seldon_spec.errors import Position
from seldon_spec.migrate.candidates import Candidate, CannotMigrate, Gathered, Rank
from seldon_spec.migrate.copied import find_source

MAX_MODULES = 200


def find_class(folder: Path, named: Candidate | None, gathered: Gathered) -> list[str]:
    """Add the class if no source names it, and its package if the class is in a subdirectory.

    Args:
        folder: the migrated folder.
        named: the effective candidate of ``class_name``.
        gathered: receives the result.

    Returns:
        The possible classes, if there are several.
    """
    if named is None:
        return _guess(folder, gathered)
    if not isinstance(named.value, str):
        return []
    module, name = split_class_name(named.value)
    home = _copied_from(folder, module, gathered)
    label = f"{named.label}; copied there by COPY"
    if home is None:
        _refuse_link(folder, module)
        found = read_class(folder, named.value)
        homes = (found.homes or _modules_below(folder, module)) if isinstance(found, NoModule) else ()
        if len(homes) != 1:
            return []
        home = homes[0]
        label = f"{named.label}; the class is in {home.replace('.', '/')}.py"
    _refuse_link(folder, home)
    value = f"{home}.{name}"
    if not all(part.isidentifier() for part in home.split(".")):
        why = f"the class is in {home.replace('.', '/')}.py, which is not a valid module name: rename the directory"
        gathered.leave_out(named.position, f"class {named.value}", why)
        return []
    gathered.candidates = [replace(c, value=value, label=label) if c == named else c for c in gathered.candidates]
    if "." in home:
        is_moved = home.endswith(f".{module}")
        below = (home.removesuffix(f".{module}") if is_moved else home.rpartition(".")[0]).replace(".", "/")
        why = f"it cannot import modules of {below} by their plain names: if it does, migrate {below} itself"
        gathered.leave_out(named.position, f"class {named.value}", why)
    return []


def _file_of(module: str) -> tuple[str, str]:
    base = module.replace(".", "/")
    return f"{base}.py", f"{base}/__init__.py"


def _copied_from(folder: Path, module: str, gathered: Gathered) -> str | None:
    """Return the module in the folder, if COPY instructions gave it another name in the old image."""
    for place in gathered.search_path:
        for file in _file_of(module) if place else ():
            source = find_source(folder, gathered.copies, posixpath.normpath(posixpath.join(place, file)))
            if source is not None:
                home = source.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
                return None if home == module else home
    return None


def _modules_below(folder: Path, module: str) -> tuple[str, ...]:
    """Return the modules with a name in the subdirectories of the folder."""
    found = (path for file in _file_of(module) for pattern in ("*/", "*/*/") for path in folder.glob(pattern + file))
    modules = [path.relative_to(folder).as_posix() for path in found if not leaves(folder, path)]
    return tuple(m.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".") for m in modules)


def _refuse_link(folder: Path, module: str) -> None:
    for file in _file_of(module):
        link = leaving_link(folder, folder / file)
        if link is not None:
            raise CannotMigrate(f"{link} is a link that leaves the folder; nothing was written. Copy the file into it")


def _guess(folder: Path, gathered: Gathered) -> list[str]:
    """Add the only class with the name of its module, the convention of Seldon Core; return the others."""
    inside = (path for path in folder.glob("*.py") if path.stem.isidentifier() and not leaves(folder, path))
    names = sorted(path.stem for path in inside)[:MAX_MODULES]
    found = [name for name in names if isinstance(read_class(folder, name), ClassSource)]
    if len(found) == 1:
        file = folder / f"{found[0]}.py"
        label = "the only class with the name of its file; no source names a class"
        candidate = Candidate(("class_name",), found[0], Position(str(file), 1, 1), label, Rank.WEAK_FLAG)
        gathered.candidates.append(candidate)
        return []
    return found
