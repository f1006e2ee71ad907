"""Which claim counts where several sources say something of one field, and which unit of a graph is meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from seldon_spec.errors import FieldPath
from seldon_spec.migrate.candidates import VARIABLE, Candidate, CannotMigrate, Rank
from seldon_spec.migrate.manifest import Unit

RULE = (
    "Where sources differ, what stood above when the image ran counts: a flag of the command, the SeldonDeployment, "
    "the Dockerfile, .s2i/environment; a unit's type is its graph's."
)
"""The one rule, as it is told."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The claim that counts, and those that said something else."""

    claim: Candidate
    others: tuple[Candidate, ...] = ()


def choose(claims: Iterable[Candidate]) -> dict[FieldPath, Choice]:
    """The strongest claim of each field; of equals the last. Fields stand in the order of their first claim."""
    by_path: dict[FieldPath, list[Candidate]] = {}
    for claim in claims:
        by_path.setdefault(_field(claim), []).append(claim)
    chosen = {}
    for told in by_path.values():
        best = max(reversed(told), key=lambda claim: claim.rank)
        others = tuple(claim for claim in told if claim.value != best.value or _differs(claim, best))
        path = best.path
        if path[0] == VARIABLE:
            is_reference = isinstance(best.value, dict)
            in_image = best.rank < Rank.DEPLOYMENT and not is_reference
            path = ("image", "environment", path[1]) if in_image else ("environment", path[1])
        chosen[path] = Choice(_without_list(best), others)
    return chosen


def _without_list(claim: Candidate) -> Candidate:
    """One requirements file as itself rather than as a list of one."""
    if claim.path == ("image", "requirements") and isinstance(claim.value, list) and len(claim.value) == 1:
        return replace(claim, value=claim.value[0])
    return claim


def _field(claim: Candidate) -> FieldPath:
    """A variable is one field, wherever it is to stand."""
    return (VARIABLE, claim.path[2]) if claim.path[:2] == ("image", "environment") else claim.path


def _differs(claim: Candidate, best: Candidate) -> bool:
    """``True == 1`` for Python, and for nobody who reads a file."""
    return type(claim.value) is not type(best.value)


def choose_unit(
    units: Sequence[Unit],
    wanted: str | None,
    class_name: str | None,
    folder: str,
    settings: Callable[[Unit], object],
) -> tuple[Unit | None, Sequence[Unit]]:
    """Return the unit that the folder's class is, and others that say the same.

    Args:
        units: of every SeldonDeployment.
        wanted: what ``--node`` says: the unit's name, with as much of file, deployment and predictor before it, divided
            by slashes, as tells it from others.
        class_name: what the other sources say.
        folder: the folder's name.
        settings: what a unit says; of units that say the same, the first is as good as any.

    Returns:
        None and no others where no unit has a class of the user's.

    Raises:
        CannotMigrate: several may be meant, or none is the one that is wanted.
    """
    if wanted is not None:
        return _only([unit for unit in units if _is_wanted(unit, wanted)], units, wanted, settings)
    candidates = [unit for unit in units if not unit.is_prepackaged()]
    if len(candidates) <= 1:
        return (candidates[0] if candidates else None), ()
    for test in _tests(class_name, folder):
        matching = [unit for unit in candidates if test(unit)]
        if _are_equal(matching, settings):
            return matching[0], matching[1:]
    return _only(candidates, candidates, None, settings)


def _are_equal(units: Sequence[Unit], settings: Callable[[Unit], object]) -> bool:
    """Whether there is a unit, and any others say the same."""
    return bool(units) and all(settings(unit) == settings(units[0]) for unit in units[1:])


def _tests(class_name: str | None, folder: str) -> list[Callable[[Unit], bool]]:
    """What tells that a unit is the folder's, surest first."""
    tests: list[Callable[[Unit], bool]] = []
    if class_name:
        plain = _plain(class_name.rpartition(".")[2])
        tests += [lambda unit: _class_of(unit) == class_name, lambda unit: _plain(unit.name) == plain]
    if _plain(folder):
        tests += [
            lambda unit: _plain(unit.name) == _plain(folder),
            lambda unit: _plain(_image_name(unit)) == _plain(folder),
        ]
    return tests


def _class_of(unit: Unit) -> str:
    variables = unit.container.get("env") if unit.container else None
    names = (
        each.text("value") for each in (variables.items() if variables else ()) if each.text("name") == "MODEL_NAME"
    )
    return next(names, "")


def _image_name(unit: Unit) -> str:
    image = unit.container.text("image") if unit.container else ""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _plain(name: str) -> str:
    """A name without case and punctuation: ``IrisClassifier`` and ``iris-classifier`` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_wanted(unit: Unit, wanted: str) -> bool:
    """Whether the parts of ``wanted`` are parts of the unit's full name, in order, the last its own name."""
    parts = [part for part in wanted.split("/") if part]
    if not parts or parts[-1] != unit.name:
        return False
    known = iter([*unit.file.split("/"), unit.deployment, unit.predictor])
    return all(part in known for part in parts[:-1])


def _full_name(unit: Unit, units: Sequence[Unit]) -> str:
    """A name for ``--node`` that means this unit alone, as far as there is one."""
    is_unique = sum(_is_wanted(each, str(unit)) for each in units) == 1
    return str(unit) if is_unique else f"{unit.file}/{unit}"


def _only(
    matching: Sequence[Unit], units: Sequence[Unit], wanted: str | None, settings: Callable[[Unit], object]
) -> tuple[Unit, Sequence[Unit]]:
    if _are_equal(matching, settings):
        return matching[0], matching[1:]
    names = "".join(
        f"\n  --node {_full_name(unit, units)}    ({unit.file}:{unit.graph.place().line})"
        for unit in (matching or units)[:20]
    )
    if not units:
        raise CannotMigrate(f"--node {wanted}: there is no SeldonDeployment in the folder; nothing was written")
    if not matching:
        raise CannotMigrate(f"--node {wanted}: no unit has this name; nothing was written. There are:{names}")
    count = len(matching)
    raise CannotMigrate(f"{count} units may be the folder's class: say which; nothing was written{names}")
