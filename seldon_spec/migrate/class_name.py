"""The class's name, made sure of by what the folder shows; where the folder shows nothing, nothing is claimed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seldon_spec.errors import Position
from seldon_spec.migrate.claims import Claim, Gathered, Rank
from seldon_spec.spec.class_source import ClassSource, NoModule, read_class

MAX_MODULES = 200


def settle_class(folder: Path, named: Claim | None, gathered: Gathered) -> list[str]:
    """Claim the class where no source names it, or where it stands in a folder of its own.

    Args:
        folder: that is migrated.
        named: the claim that counts for ``class_name``.
        gathered: takes the claim.

    Returns:
        Classes that may be meant where the folder does not say which.
    """
    if named is None:
        return _guess(folder, gathered)
    if not isinstance(named.value, str):
        return []
    found = read_class(folder, named.value)
    if isinstance(found, NoModule) and "." not in named.value and len(found.homes) == 1:
        home = found.homes[0]
        value = f"{home}.{named.value}"
        label = f"{named.label}; the class stands in {home.replace('.', '/')}.py"
        gathered.claims = [replace(c, value=value, label=label) if c == named else c for c in gathered.claims]
        if "." in home:
            below = home.rpartition(".")[0].replace(".", "/")
            why = f"modules of {below} that it imports by their plain names are not found: else migrate {below} itself"
            gathered.leave(named.position, f"class {named.value}", why)
    return []


def _guess(folder: Path, gathered: Gathered) -> list[str]:
    """A class of its module's name, the old convention; with exactly one of them, it is the one."""
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem.isidentifier())[:MAX_MODULES]
    found = [name for name in names if isinstance(read_class(folder, name), ClassSource)]
    if len(found) == 1:
        file = folder / f"{found[0]}.py"
        label = "the only class of its file's name; no source names it"
        claim = Claim(("class_name",), found[0], Position(str(file), 1, 1), label, Rank.WEAK_FLAG)
        gathered.claims.append(claim)
        return []
    return found
