"""The migration of a folder: read every source, resolve the settings, plan the files. Writes nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seldon_spec.config.build_spec import default_name
from seldon_spec.config.checks.imports import scan_imports
from seldon_spec.config.checks.requirement_files import read_requirements
from seldon_spec.errors import Diagnostic, FieldPath
from seldon_spec.migrate.apart import add_apart, find_apart
from seldon_spec.migrate.candidates import Candidate, CannotMigrate, Gathered, LeftOut, Rank
from seldon_spec.migrate.class_name import find_class
from seldon_spec.migrate.contract import read_contract
from seldon_spec.migrate.deployment import read_unit
from seldon_spec.migrate.deployment_keys import UnitPlace, read_deployment
from seldon_spec.migrate.dockerfile import read_dockerfile
from seldon_spec.migrate.graphs import GRAPH, add_graph, find_graph, is_graph
from seldon_spec.migrate.manifest import Resource, read_manifest
from seldon_spec.migrate.mlserver import MODEL_FILE, list_folders, read_mlserver
from seldon_spec.migrate.prepackaged import explain, is_served, read_prepackaged
from seldon_spec.migrate.requirements import Change, find_old_dependencies, is_old_package, plan_change
from seldon_spec.migrate.resolve import Choice, find_unit, resolve
from seldon_spec.migrate.s2i import read_s2i
from seldon_spec.migrate.sources import find_dockerfiles, find_manifests
from seldon_spec.migrate.units import Unit, list_units
from seldon_spec.migrate.variables import is_secret, without_secrets
from seldon_spec.migrate.write import render_spec

_UNIT = "graph unit"
_MODELS = (_UNIT, "modelUri", "implementation", "mlserver_", MODEL_FILE)
"""The beginnings of what is left out of a description of a model file."""

_NO_MODEL = "Missing: model.path. The reason is below."

_VALUE = re.compile(r"value|://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Migration:
    """The planned migration of a folder.

    Attributes:
        text: the text of seldon.yaml.
        sources: the files that were read, relative to the folder.
        choices: the effective candidates, by path.
        left_out: what is not migrated.
        problems: errors in the sources.
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
        folder: the folder of the class and the old files.
        version: of this package.
        node: the name of the folder's unit in the SeldonDeployments.

    Raises:
        CannotMigrate: the folder contains no such files, or its unit is ambiguous.
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
    resources: list[Resource] = []
    for path, data in find_manifests(folder, gathered):
        resources += read_manifest(folder, path, data, gathered)
    sources += read_mlserver(folder, gathered)
    class_names = _add_units(folder, resources, node, gathered, sources)
    comments = read_contract(folder, gathered)
    gathered.candidates = list(without_secrets(gathered.candidates, gathered))
    _add_tools(folder, resolve(gathered.candidates), gathered)
    choices = _without_own_name(resolve(gathered.candidates))
    is_described = any(path[0] in ("class_name", "graph", "model") for path in choices)
    if not is_described and (not sources or sources[0] == MODEL_FILE):
        raise CannotMigrate(_nothing_found(folder, class_names, gathered))
    if not is_described:
        has_model = any(each.what.startswith(_MODELS[1:]) for each in gathered.left_out)
        comments = [_NO_MODEL if has_model else _no_class(class_names), *comments]
    changes = _plan_changes(folder, choices, version, gathered)
    read = sources or [choices[("class_name",)].candidate.position.file.rpartition("/")[2]]
    left_out = tuple(dict.fromkeys(gathered.left_out))
    text = render_spec(folder, choices, read, comments, left_out)
    problems = tuple(_redact(problem) for problem in gathered.problems)
    return Migration(text, tuple(read), choices, left_out, problems, changes)


def _add_units(
    folder: Path, resources: Sequence[Resource], node: str | None, gathered: Gathered, sources: list[str]
) -> list[str]:
    """Add the settings of the folder's unit or graph in the manifests; return the possible classes of the folder.

    Args:
        folder: the migrated folder.
        resources: of the manifests.
        node: the value of ``--node``.
        gathered: has the settings of the other sources, and receives those of the manifests.
        sources: receives the files of the manifests.
    """
    units = list_units(resources, gathered)
    known = resolve(gathered.candidates)
    named = known.get(("class_name",))
    class_name = named.candidate.value if named else None
    start = len(gathered.candidates)
    if ("model", "path") in known or (folder / MODEL_FILE).exists():
        return []
    if node is None and class_name is None and _add_graph(folder, units, resources, gathered):
        sources += _list_files(folder, gathered.candidates[start:])
        return []
    try:
        unit, others = find_unit(units, node, class_name, folder.resolve().name, _settings, is_served)
    except CannotMigrate as error:
        reasons = [f"\n{each.position}: {each.what}: {each.why}" for each in gathered.left_out if each.what == GRAPH]
        raise CannotMigrate(f"{error}{''.join(reasons)}") from None
    if unit is not None:
        _add_unit(folder, unit, units, resources, gathered)
        sources += dict.fromkeys([unit.file, *_list_files(folder, gathered.candidates[start:])])
    if unit is not None and others:
        places = ", ".join(f"{each.file}:{each.graph.position().line}" for each in others[:5])
        why = f"used; {places} {'has' if len(others) == 1 else 'have'} the same settings"
        gathered.leave_out(unit.graph.position(), f"{_UNIT} {unit.name}", why)
    _report_prepackaged(units, unit, gathered)
    chosen = resolve(gathered.candidates)
    if any(path[0] in ("graph", "model") for path in chosen):
        return []
    if unit is not None and is_graph(unit.resource):
        why = "its steps are only in the image: render the manifest with --all"
        gathered.leave_out(unit.resource.tree.position(), GRAPH, why)
        return []
    named = chosen.get(("class_name",))
    return find_class(folder, named.candidate if named else None, gathered)


def _add_graph(folder: Path, units: Sequence[Unit], resources: Sequence[Resource], gathered: Gathered) -> bool:
    """Add the graph of several units; return whether there is one."""
    apart = find_apart(units)
    if apart is not None:
        add_apart(folder, apart, resources, gathered)
        return True
    graph = find_graph(folder, units)
    return graph is not None and add_graph(folder, graph, resources, gathered)


def _add_unit(
    folder: Path, unit: Unit, units: Sequence[Unit], resources: Sequence[Resource], gathered: Gathered
) -> None:
    """Add the settings of the unit of the folder, and how it is deployed."""
    own = Gathered()
    read_unit(unit, own)
    if is_served(unit):
        read_prepackaged(folder, unit, own)
    read_deployment(unit, resources, own, UnitPlace(folder, units={each.name for each in units}))
    gathered.extend(own)


def _list_files(folder: Path, candidates: Sequence[Candidate]) -> list[str]:
    """Return the files of candidates, relative to the folder."""
    files = dict.fromkeys(candidate.position.file for candidate in candidates)
    return [Path(file).relative_to(folder).as_posix() for file in files]


def _requirements(choices: dict[FieldPath, Choice]) -> list[str]:
    choice = choices.get(("image", "requirements"))
    value = choice.candidate.value if choice else "requirements.txt"
    return [value] if isinstance(value, str) else list(value)


def _add_tools(folder: Path, choices: dict[FieldPath, Choice], gathered: Gathered) -> None:
    """Add git to the build packages if a requirement is a repository: the old base image contains git."""
    path = ("image", "build_packages")
    lines = read_requirements(folder, _requirements(choices)).lines
    line = next((line for line in lines if "git+" in line.text and not is_old_package(line.text)), None)
    if line is None:
        return
    known = choices.get(path)
    position, label = line.position(folder), "a requirement from a repository"
    if known is not None:
        position, label = known.candidate.position, known.candidate.label
    gathered.add_item(path, "git", position, label, Rank.IMAGE)


def _plan_changes(
    folder: Path, choices: dict[FieldPath, Choice], version: str, gathered: Gathered
) -> tuple[Change, ...]:
    """Plan the change of each requirements file; packages that the Dockerfile installs go to the first."""
    files = _requirements(choices)
    classes = [str(choice.candidate.value) for path, choice in choices.items() if path[-1] == "class_name"]
    modules = dict.fromkeys(module for each in classes for module in scan_imports(folder, each).outside)
    added = [*gathered.packages, *find_old_dependencies(folder, files, list(modules))]
    packages = [added, *([] for _ in files[1:])]
    return tuple(
        plan_change(folder, file, additions, version, gathered)
        for file, additions in zip(files, packages, strict=True)
        if file.endswith((".txt", ".in"))
    )


def _settings(unit: Unit) -> object:
    """Return the settings of a unit without their positions."""
    gathered = Gathered()
    read_unit(unit, gathered)
    return [(candidate.path, candidate.value, candidate.rank) for candidate in gathered.candidates]


def _report_prepackaged(units: list[Unit], unit: Unit | None, gathered: Gathered) -> None:
    """Report prepackaged units, if no unit is migrated."""
    for each in units if unit is None else []:
        if not each.is_built_in():
            gathered.leave_out(each.graph.position(), f"{_UNIT} {each.name}", explain(each))


def _without_own_name(choices: dict[FieldPath, Choice]) -> dict[FieldPath, Choice]:
    """Remove a ``name`` that is the default for the class."""
    name, class_name = choices.get(("name",)), choices.get(("class_name",))
    if name and class_name and name.candidate.value == default_name(str(class_name.candidate.value)):
        return {path: choice for path, choice in choices.items() if path != ("name",)}
    return choices


def _nothing_found(folder: Path, class_names: list[str], gathered: Gathered) -> str:
    found = f"; classes here: {', '.join(class_names)}" if class_names else ""
    reasons = [
        f"\n{each.position}: {each.what}: {each.why}" for each in gathered.left_out if each.what.startswith(_MODELS)
    ]
    if reasons:
        return (
            f"{folder} has no class{found} and no model file that can be served; nothing was written{''.join(reasons)}"
        )
    models = list_folders(folder)
    if models:
        names = ", ".join(models[:10])
        return f"{folder} has models of MLServer in subfolders: migrate each of them; nothing was written: {names}"
    return (
        f"{folder} has no .s2i/environment, no Dockerfile, no {MODEL_FILE} and no manifest of a server{found}; "
        "nothing was written. seldon-spec init creates a new project"
    )


def _no_class(class_names: list[str]) -> str:
    found = (
        f" Classes here: {', '.join(class_names[:10])}." if class_names else " No file has a class of the same name."
    )
    return f"Missing: class_name. No source sets MODEL_NAME or has a command with the class.{found}"


def _redact(problem: Diagnostic) -> Diagnostic:
    """Remove the source line from a finding, if the line may contain a secret."""
    position = problem.origin.position
    if position is None or not position.text:
        return problem
    is_syntax = problem.code.startswith("yaml-") or problem.code in ("control-character", "encoding", "duplicate-key")
    if is_secret(position.text, position.text) or (is_syntax and _VALUE.search(position.text)):
        return replace(problem, origin=replace(problem.origin, position=replace(position, text="")))
    return problem
