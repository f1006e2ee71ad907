"""The spec of the settings that were read from a unit, to compare its pods with those that it would get."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from seldon_spec.config.build_spec import build_spec, with_references
from seldon_spec.config.layered_spec import read_spec
from seldon_spec.config.layers.environment import ENTRY_KEYS
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.model import SPEC_FILE, ComponentSpec, ServiceType, Spec
from seldon_spec.config.paths import is_file, leaves
from seldon_spec.migrate.candidates import Candidate
from seldon_spec.migrate.resolve import resolve


def build_unit_spec(candidates: Iterable[Candidate], name: str, folder: Path) -> Spec:
    """Return the spec of settings, each of which is valid alone.

    Args:
        candidates: the settings.
        name: of the spec if no setting is its name.
        folder: the migrated folder, with the files of components.
    """
    tree: dict[str, Any] = {}
    for path, choice in resolve(candidates).items():
        section = tree
        for key in path[:-1]:
            section = section.setdefault(key, {})
        section[path[-1]] = choice.candidate.value
    return _build({"name": name, **tree}, folder)


def _build(tree: Mapping[str, Any], folder: Path) -> Spec:
    own = {key: value for key, value in tree.items() if key not in ("graph", "components", *ENTRY_KEYS)}
    spec = build_spec(LayeredValues(own, {}), folder, SPEC_FILE)
    entries: Mapping[str, Mapping[str, Any]] = tree.get("components", {})
    names = dict.fromkeys([*entries, *_find_folders(tree.get("graph"), folder)])
    return replace(spec, components={each: _build_component(entries.get(each, {}), each, folder) for each in names})


def _build_component(entry: Mapping[str, Any], name: str, folder: Path) -> ComponentSpec:
    token = with_references(entry.get("token"))
    path = folder / entry.get("path", name)
    values = dict(entry)
    if "class_name" not in entry and "graph" not in entry and _is_here(path, folder):
        values = _merge(read_spec(path).values.tree, entry)
    spec = _build({"name": name, **values}, path)
    return ComponentSpec(ServiceType.MODEL, spec, entry.get("url"), token=token)


def _find_folders(step: Any, folder: Path) -> list[str]:
    """Return the components of a graph that have a folder of their own."""
    names = [step] if isinstance(step, str) else []
    items = step.values() if isinstance(step, dict) else step if isinstance(step, list) else ()
    keys = [key for key in step.get("split", ()) if isinstance(key, str)] if isinstance(step, dict) else []
    found = [name for name in (*names, *keys) if _is_here(folder / name, folder)]
    return [*found, *(name for item in items for name in _find_folders(item, folder))]


def _is_here(path: Path, folder: Path) -> bool:
    file = path / SPEC_FILE
    return is_file(file) and not leaves(folder, file)


def _merge(tree: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: _merge(tree[key], value) for key, value in other.items() if _are_mappings(tree.get(key), value)}
    return {**tree, **other, **both}


def _are_mappings(one: object, other: object) -> bool:
    return isinstance(one, dict) and isinstance(other, dict)
