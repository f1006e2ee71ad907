"""Resolution of candidates by precedence, and of the unit of a graph that belongs to the folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.errors import FieldPath
from seldon_spec.migrate.candidates import VARIABLE, Candidate, CannotMigrate, Rank
from seldon_spec.migrate.units import Unit

RULE = (
    "Where sources differ, the precedence is that of the old image: a flag of the command, the SeldonDeployment, "
    "the Dockerfile, .s2i/environment; the graph defines the type of a unit."
)
"""The rule of precedence, as shown to the user."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The effective candidate, and those with another value."""

    candidate: Candidate
    others: tuple[Candidate, ...] = ()


def resolve(candidates: Iterable[Candidate]) -> dict[FieldPath, Choice]:
    """Return the candidate of the highest rank for each path, the last of equals; in order of first occurrence."""
    by_path: dict[FieldPath, list[Candidate]] = {}
    for candidate in candidates:
        by_path.setdefault(_field(candidate), []).append(candidate)
    chosen = {}
    for group in by_path.values():
        best = max(reversed(group), key=lambda candidate: candidate.rank)
        others = tuple(candidate for candidate in group if candidate.value != best.value or _differs(candidate, best))
        path = best.path
        if path[0] == VARIABLE:
            is_reference = isinstance(best.value, dict)
            in_image = best.rank < Rank.DEPLOYMENT and not is_reference
            path = ("image", "environment", path[1]) if in_image else ("environment", path[1])
        chosen[path] = Choice(_without_list(best), others)
    return chosen


def _without_list(candidate: Candidate) -> Candidate:
    """Replace a list of one requirements file by the file."""
    if candidate.path == ("image", "requirements") and isinstance(candidate.value, list) and len(candidate.value) == 1:
        return replace(candidate, value=candidate.value[0])
    return candidate


def _field(candidate: Candidate) -> FieldPath:
    """Return the path to group by: a variable of the old image and one of the class are the same setting."""
    is_of_image = candidate.path[:2] == ("image", "environment") and candidate.rank < Rank.DEPLOYMENT
    return (VARIABLE, candidate.path[2]) if is_of_image else candidate.path


def _differs(candidate: Candidate, best: Candidate) -> bool:
    """Return whether the types differ: ``True == 1`` in Python, but not in a file."""
    return type(candidate.value) is not type(best.value)


def find_unit(
    units: Sequence[Unit],
    wanted: str | None,
    class_name: str | None,
    folder: str,
    settings: Callable[[Unit], object],
    is_served: Callable[[Unit], bool],
) -> tuple[Unit | None, Sequence[Unit]]:
    """Return the unit of the folder's class or model file, and other units with the same settings.

    Args:
        units: of every manifest.
        wanted: the value of ``--node``: ``NAME``, or ``FILE/DEPLOYMENT/PREDICTOR/NAME`` without some of its parts.
        class_name: from the other sources.
        folder: the name of the folder.
        settings: returns the settings of a unit, to compare units.
        is_served: returns whether a prepackaged server has a model file that can be served; it counts if no source
            names a class, and no unit has one.

    Returns:
        None and no others if no unit has a class of the user or such a model file.

    Raises:
        CannotMigrate: several units match, or none.
    """
    if wanted is not None:
        return _only([unit for unit in units if _is_wanted(unit, wanted)], units, wanted, settings)
    possible = [unit for unit in units if not unit.is_prepackaged()]
    if not possible and class_name is None:
        possible = [unit for unit in units if is_served(unit)]
    if len(possible) <= 1:
        return (possible[0] if possible else None), ()
    for matches in _matchers(class_name, folder):
        matching = [unit for unit in possible if matches(unit)]
        if _are_equal(matching, settings):
            return matching[0], matching[1:]
    return _only(possible, possible, None, settings)


def _are_equal(units: Sequence[Unit], settings: Callable[[Unit], object]) -> bool:
    """Return whether there are units, all with the same settings."""
    return bool(units) and all(settings(unit) == settings(units[0]) for unit in units[1:])


def _matchers(class_name: str | None, folder: str) -> list[Callable[[Unit], bool]]:
    """Return the criteria for the unit of the folder, most reliable first."""
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
    return unit.variable("MODEL_NAME", generic_variable(("class_name",)))


def _image_name(unit: Unit) -> str:
    image = unit.container.text("image") if unit.container else ""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _plain(name: str) -> str:
    """Remove case and punctuation: ``IrisClassifier`` and ``iris-classifier`` are equal."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_wanted(unit: Unit, wanted: str) -> bool:
    """Return whether the parts of ``wanted`` are a subsequence of the full name that ends with the name."""
    parts = [part for part in wanted.split("/") if part]
    if not parts or parts[-1] != unit.name:
        return False
    known = iter([*unit.file.split("/"), unit.resource.name, unit.predictor])
    return all(part in known for part in parts[:-1])


def _full_name(unit: Unit, units: Sequence[Unit]) -> str:
    """Return a value of ``--node`` that matches only this unit, if there is one."""
    is_unique = sum(_is_wanted(each, str(unit)) for each in units) == 1
    return str(unit) if is_unique else f"{unit.file}/{unit}"


def _only(
    matching: Sequence[Unit], units: Sequence[Unit], wanted: str | None, settings: Callable[[Unit], object]
) -> tuple[Unit, Sequence[Unit]]:
    if _are_equal(matching, settings):
        return matching[0], matching[1:]
    names = "".join(
        f"\n  --node {_full_name(unit, units)}    ({unit.file}:{unit.graph.position().line})"
        for unit in (matching or units)[:20]
    )
    if not units:
        raise CannotMigrate(f"--node {wanted}: there is no unit in the folder; nothing was written")
    if not matching:
        raise CannotMigrate(f"--node {wanted}: no unit has this name; nothing was written. Units:{names}")
    count = len(matching)
    raise CannotMigrate(f"{count} units match the folder: select one; nothing was written{names}")
