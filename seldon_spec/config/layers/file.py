"""The first layer: the values of the file that the schema accepts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.parameters import set_entry
from seldon_spec.config.schema.check import check
from seldon_spec.config.schema.locations import SourceLocations
from seldon_spec.config.schema.lookup import groups_keys, own_path
from seldon_spec.config.schema.normalise import normalise
from seldon_spec.config.schema.suggest import name_odd_character
from seldon_spec.config.yaml.document import Document
from seldon_spec.errors import Diagnostic, FieldPath, Position


def add_file(document: Document, values: LayeredValues) -> set[FieldPath]:
    """Add the valid values of the file to ``values``; diagnostics are appended to ``document.problems``.

    A graph with invalid parts is added as well, so that its other parts are checked too.

    Returns:
        The paths of the invalid fields.
    """
    if document.root is None:
        return set()
    if not isinstance(document.root.value, dict):
        if document.root.value is None:
            return set()
        document.problems.append(
            Diagnostic(
                "type",
                "the file is not a mapping of keys to values",
                document.origin(document.root.position),
                allowed="class_name: MyModel, and the other keys",
                help=_suggest_mapping(document.root.value),
                path=("class_name",),
            )
        )
        return {("class_name",)}
    if {"apiVersion", "kind"} <= document.root.value.keys():
        document.problems.append(
            Diagnostic(
                "kubernetes-manifest",
                "the file is a Kubernetes manifest, not a spec",
                document.origin(document.key_position(("kind",))),
                path=("class_name",),
                found=f"kind: {document.written(('kind',))}",
                help="rename it, e.g. to deployment.yaml, and run seldon-spec migrate",
            )
        )
        return {("class_name",)}
    tree = normalise(document.root.to_json(), (), document.written)
    locations = SourceLocations(
        lambda path: document.origin(document.key_position(path)),
        lambda path: document.origin(_value_position(document, path)),
        document.written,
    )
    reported = {str(problem.origin) for problem in document.problems}
    wrong = set()
    for problem in check(tree, (), locations):
        wrong.add(problem.path)
        meant = re.fullmatch(r'did you mean "(\w+)"\?', problem.help or "")
        if problem.code == "unknown-key" and meant:
            wrong.add((*problem.path[:-1], meant[1]))  # the key is misspelt: do not report it as missing too
        if str(problem.origin) not in reported:
            document.problems.append(problem)
    _add_mapping(tree, (), document, values, wrong)
    return wrong


def name_odd_characters(problem: Diagnostic) -> Diagnostic:
    """Add to a YAML syntax error the help about a character that only looks like an ASCII character."""
    position = problem.origin.position
    if problem.code != "yaml-syntax" or position is None:
        return problem
    lines = (position.text, *(related.text for _, related in problem.related))
    odd = next(filter(None, map(name_odd_character, lines)), None)
    return replace(problem, help=odd) if odd else problem


def _suggest_mapping(value: object) -> str | None:
    """Return the help for a file that is a single scalar or list."""
    if not isinstance(value, str):
        return None
    odd = name_odd_character(value)
    if odd:
        return odd
    if re.match(r"\w+:\S", value):
        return "write a space after the colon"
    return "write a key, a colon and a space, then its value" if re.match(r"\w+\s*=", value) else None


def _add_mapping(
    tree: Mapping[str, Any], path: FieldPath, document: Document, values: LayeredValues, wrong: set[FieldPath]
) -> None:
    for key, value in tree.items():
        at = (*path, key)
        if at in wrong:
            continue
        if own_path(at) == ("parameters",) and isinstance(value, list):
            _add_parameters(value, at, document, values, wrong)
        elif isinstance(value, dict) and groups_keys(at):
            values.open(at, document.origin(document.key_position(at)))
            _add_mapping(value, at, document, values, wrong)
        elif own_path(at) == ("graph",) or not _has_invalid_part(at, wrong):
            values.set(at, value, document.origin(_value_position(document, at)))


def _value_position(document: Document, at: FieldPath) -> Position:
    """Return the position of a value; of a component's path or URL, also if its entry is only this text."""
    is_entry = at[-1:] in (("path",), ("url",)) and len(at) > 2 and at[-3] == "components"
    return document.value_position(at[:-1] if is_entry and document.find(at) is None else at)


def _has_invalid_part(at: FieldPath, wrong: set[FieldPath]) -> bool:
    return any(path[: len(at)] == at for path in wrong)


def _add_parameters(
    entries: list[Any], path: FieldPath, document: Document, values: LayeredValues, wrong: set[FieldPath]
) -> None:
    """Add Seldon's list of parameters. In a file, unlike in a variable, duplicate names are an error."""
    values.open(path, document.origin(document.key_position(path)))
    first: dict[str, str] = {}
    for index, entry in enumerate(entries):
        at = (*path, str(index))
        if _has_invalid_part(at, wrong):
            continue
        position = document.value_position((*at, "value"))
        name = entry["name"]
        if name in first:
            document.problems.append(
                Diagnostic(
                    "duplicate-key",
                    f'the parameter "{name}" is given twice',
                    document.origin(document.value_position((*at, "name"))),
                    path=at,
                    related=(("first given", document.value_position((*path, first[name], "name"))),),
                    help="keep one of the two",
                )
            )
            continue
        first[name] = str(index)
        set_entry(values, str(index), entry, document.origin(position), path)
