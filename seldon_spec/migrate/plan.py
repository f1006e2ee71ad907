"""A folder's migration as a whole: read every source, choose, and say what is to be written. Writes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from seldon_spec.config.checks.imports import scan_imports
from seldon_spec.config.checks.requirements import read_requirements
from seldon_spec.config.loader import default_name
from seldon_spec.errors import Diagnostic, FieldPath
from seldon_spec.migrate.candidates import CannotMigrate, Gathered, LeftOut, Rank
from seldon_spec.migrate.class_name import settle_class
from seldon_spec.migrate.contract import read_contract
from seldon_spec.migrate.deployment import read_unit
from seldon_spec.migrate.dockerfile import read_dockerfile
from seldon_spec.migrate.manifest import Unit, read_manifest
from seldon_spec.migrate.requirements import Change, find_brought, is_old_package, plan_change
from seldon_spec.migrate.resolve import Choice, choose, choose_unit
from seldon_spec.migrate.s2i import read_s2i
from seldon_spec.migrate.sources import find_dockerfiles, find_manifests
from seldon_spec.migrate.variables import is_secret, without_secrets
from seldon_spec.migrate.write import render_spec

_VALUE = re.compile(r"value|://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Migration:
    """What becomes of a folder.

    Attributes:
        text: of seldon.yaml.
        sources: the files that were read, relative to the folder.
        choices: the values with their sources, by field.
        left_out: what no key takes over.
        problems: what is wrong in the sources.
        changes: of the requirements files.
    """

    text: str
    sources: tuple[str, ...]
    choices: dict[FieldPath, Choice]
    left_out: tuple[LeftOut, ...]
    problems: tuple[Diagnostic, ...]
    changes: tuple[Change, ...]


def plan(folder: Path, version: str, node: str | None = None) -> Migration:
    """Plan the migration of a folder.

    Args:
        folder: with the class and the old files.
        version: of this package.
        node: which unit of the SeldonDeployments is the folder's.

    Raises:
        CannotMigrate: the folder has no such files, or does not say which unit is meant.
    """
    if not folder.is_dir():
        raise CannotMigrate(f"there is no folder {folder}")
    try:
        return _plan(folder, version, node)
    except OSError as error:
        raise CannotMigrate(f"{folder} cannot be read: {error.strerror or error}") from error


def _plan(folder: Path, version: str, node: str | None) -> Migration:
    gathered = Gathered()
    environment = read_s2i(folder, gathered)
    sources = [environment] if environment else []
    for path, data in find_dockerfiles(folder, gathered.problems):
        read_dockerfile(folder, path, data, gathered)
        sources.append(path.name)
    units: list[Unit] = []
    for path, data in find_manifests(folder, gathered):
        units += read_manifest(folder, path, data, gathered)
    named = choose(gathered.claims).get(("class_name",))
    class_name = named.claim.value if named else None
    unit, others = choose_unit(units, node, class_name, folder.resolve().name, _settings)
    if unit is not None:
        read_unit(unit, gathered)
        sources.append(unit.file)
    if unit is not None and others:
        places = ", ".join(f"{each.file}:{each.graph.place().line}" for each in others[:5])
        why = f"used; {places} say{'s' if len(others) == 1 else ''} the same"
        gathered.leave(unit.graph.place(), f"graph unit {unit.name}", why)
    _tell_prepackaged(units, unit, gathered)
    named = choose(gathered.claims).get(("class_name",))
    candidates = settle_class(folder, named.claim if named else None, gathered)
    comments = read_contract(folder, gathered)
    gathered.claims = list(without_secrets(gathered.claims, gathered))
    _claim_tools(folder, choose(gathered.claims), gathered)
    choices = _without_own_name(choose(gathered.claims))
    if not sources and ("class_name",) not in choices:
        raise CannotMigrate(_nothing_found(folder, candidates))
    if ("class_name",) not in choices:
        comments = [_no_class(candidates), *comments]
    changes = _plan_changes(folder, choices, version, gathered)
    told = sources or [choices[("class_name",)].claim.position.file.rpartition("/")[2]]
    left_out = tuple(dict.fromkeys(gathered.left_out))
    text = render_spec(folder, choices, told, comments, left_out)
    problems = tuple(_discreet(problem) for problem in gathered.problems)
    return Migration(text, tuple(told), choices, left_out, problems, changes)


def _requirements(choices: dict[FieldPath, Choice]) -> list[str]:
    choice = choices.get(("image", "requirements"))
    value = choice.claim.value if choice else "requirements.txt"
    return [value] if isinstance(value, str) else list(value)


def _claim_tools(folder: Path, choices: dict[FieldPath, Choice], gathered: Gathered) -> None:
    """Claim git for requirements that come from a repository: the old base image had it, the new one does not."""
    path = ("image", "build_packages")
    lines = read_requirements(folder, _requirements(choices)).lines
    line = next((line for line in lines if "git+" in line.text and not is_old_package(line.text)), None)
    if line is None:
        return
    known = choices.get(path)
    position, label = line.position(folder), "a requirement from a repository"
    if known is not None:
        position, label = known.claim.position, known.claim.label
    gathered.add_item(path, "git", position, label, Rank.IMAGE)


def _plan_changes(
    folder: Path, choices: dict[FieldPath, Choice], version: str, gathered: Gathered
) -> tuple[Change, ...]:
    """What becomes of each requirements file; the first gets what the Dockerfile installed beside them."""
    files = _requirements(choices)
    class_name = choices.get(("class_name",))
    modules = scan_imports(folder, str(class_name.claim.value)).outside if class_name else []
    added = [*gathered.packages, *find_brought(folder, files, modules)]
    packages = [added, *([] for _ in files[1:])]
    return tuple(
        plan_change(folder, file, beside, version, gathered)
        for file, beside in zip(files, packages, strict=True)
        if file.endswith((".txt", ".in"))
    )


def _settings(unit: Unit) -> object:
    """What a unit says, without where it says so."""
    gathered = Gathered()
    read_unit(unit, gathered)
    return [(claim.path, claim.value, claim.rank) for claim in gathered.claims]


def _tell_prepackaged(units: list[Unit], unit: Unit | None, gathered: Gathered) -> None:
    """Units without a class of the user's, where none with one is there."""
    for each in units if unit is None else []:
        implementation = each.graph.text("implementation")
        why = f"{implementation} is a server of Seldon's own, so there is no class of yours in it"
        gathered.leave(each.graph.place(), f"graph unit {each.name}", why)


def _without_own_name(choices: dict[FieldPath, Choice]) -> dict[FieldPath, Choice]:
    """Without a ``name`` that the class's own gives anyway."""
    name, class_name = choices.get(("name",)), choices.get(("class_name",))
    if name and class_name and name.claim.value == default_name(str(class_name.claim.value)):
        return {path: choice for path, choice in choices.items() if path != ("name",)}
    return choices


def _nothing_found(folder: Path, candidates: list[str]) -> str:
    found = f"; classes here: {', '.join(candidates)}" if candidates else ""
    return (
        f"{folder} has no .s2i/environment, no Dockerfile and no SeldonDeployment{found}; nothing was written. "
        "seldon-spec init begins a new folder"
    )


def _no_class(candidates: list[str]) -> str:
    found = (
        f" Classes here: {', '.join(candidates[:10])}." if candidates else " No file here has a class of its own name."
    )
    return f"Missing: class_name. No source has MODEL_NAME, or a command that names the class.{found}"


def _discreet(problem: Diagnostic) -> Diagnostic:
    """A finding without its source line, where that line may show a secret."""
    position = problem.origin.position
    if position is None or not position.text:
        return problem
    is_syntax = problem.code.startswith("yaml-") or problem.code in ("control-character", "encoding", "duplicate-key")
    if is_secret(position.text, position.text) or (is_syntax and _VALUE.search(position.text)):
        return replace(problem, origin=replace(problem.origin, position=replace(position, text="")))
    return problem
