"""Apply environment variables and flags, which override the file.

The environment is an argument. Texts are converted by the schema type of their field, so that a variable follows the
same rules as a value in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from seldon_spec.config.layers.field_text import ArgumentHints, Setting, apply_setting
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.special_variables import SPECIAL
from seldon_spec.config.layers.unit import set_unit
from seldon_spec.config.layers.variables import TABLE, field_variables
from seldon_spec.config.schema.lookup import (
    Schema,
    field_schema,
    fields,
    holds_sections,
    join,
    load_schema,
    takes_any_key,
    types_of,
)
from seldon_spec.config.schema.suggest import guess, suggest_key
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Severity

PREFIX = "SELDON_SPEC__"


_OF_GRAPH = ("graph", "components")
"""The keys that describe a graph, where one of its components is served."""


def generic_variable(path: FieldPath) -> str:
    """Return the ``SELDON_SPEC__`` variable of the field at ``path``."""
    return PREFIX + "__".join(step.upper().replace("-", "_") for step in path)


def split_for_component(
    environ: Mapping[str, str], flags: Sequence[Setting]
) -> tuple[tuple[dict[str, str], list[Setting]], tuple[dict[str, str], list[Setting]]]:
    """Split variables and flags where one component of a graph is served.

    Returns:
        Those of the graph, its steps and its components; and those of the served spec, which is the component.
    """
    of_graph = tuple(generic_variable((key,)) for key in _OF_GRAPH)
    graph = {name: text for name, text in environ.items() if name.startswith(of_graph)}
    served = {name: text for name, text in environ.items() if name not in graph}
    graph_flags = [setting for setting in flags if setting.path[0] in _OF_GRAPH]
    return (graph, graph_flags), (served, [setting for setting in flags if setting.path[0] not in _OF_GRAPH])


def overlay(
    values: LayeredValues,
    environ: Mapping[str, str],
    flags: Sequence[Setting],
    hints: Callable[[], ArgumentHints],
    component: FieldPath | None = None,
) -> None:
    """Apply the environment, then the flags; diagnostics are appended to ``values.problems``.

    The settings of the components of a graph are left to their own specs, except for the keys of an entry that no spec
    has, such as ``url``. An empty variable is ignored, except that it sets a boolean to false, as in Seldon Core, and a
    free key, e.g. in ``parameters``, to the empty text.

    Args:
        component: the path of the component whose values they are, e.g. ``("components", "iris")``: only its
            ``SELDON_SPEC__`` variables apply, and the paths of flags begin with it; None: the served spec.
    """
    around = component or ()
    prefix = generic_variable((*around, ""))
    own = [replace(s, path=s.path[len(around) :]) for s in flags if s.path[: len(around)] == around]
    if component is not None:
        own = [setting for setting in own if setting.path and setting.path[0] not in ENTRY_KEYS]
    generic = [*_without_empty(_generic_settings(values, environ, prefix, hints))]
    if component is None:
        _apply_own_variables(values, environ, generic, hints)
    for setting in [*generic, *_known_settings(values, own)]:
        apply_setting(values, setting, hints)


def _apply_own_variables(
    values: LayeredValues, environ: Mapping[str, str], generic: list[Setting], hints: Callable[[], ArgumentHints]
) -> None:
    """Apply the variables of Seldon's images and of its operator, which concern the served spec only."""
    named = [*_without_empty(_named_settings(environ))]
    _warn_collisions(values, named, generic)
    for setting in named:
        apply_setting(values, setting, hints)
    for row in TABLE:
        if environ.get(row.name, "").strip() and row.reading in SPECIAL:
            SPECIAL[row.reading](values, row, environ[row.name])
    set_unit(values, environ)


def _without_empty(settings: Iterable[Setting]) -> Iterator[Setting]:
    for setting in settings:
        schema, parent = field_schema(setting.path) or {}, field_schema(setting.path[:-1]) or {}
        if setting.text.strip() or (takes_any_key(parent) and not holds_sections(parent)):
            yield setting
        elif types_of(schema)[:1] == ("boolean",):
            yield replace(setting, text="false")


def _named_settings(environ: Mapping[str, str]) -> Iterator[Setting]:
    words = {row.name: row.words for row in TABLE}
    for name, path in field_variables().items():
        if name in environ:
            text = words.get(name, {}).get(environ[name], environ[name])
            yield Setting(path, text, Origin(OriginKind.ENVIRONMENT, name))


def _generic_settings(
    values: LayeredValues, environ: Mapping[str, str], prefix: str, hints: Callable[[], ArgumentHints]
) -> Iterator[Setting]:
    for name in sorted(environ):
        steps = name.removeprefix(prefix).split("__")
        is_of_entry = prefix != PREFIX and steps[0].lower() in ENTRY_KEYS  # applied to the values of the graph
        if name.startswith(prefix) and not is_of_entry:
            path = _generic_path(values, steps, hints)
            origin = Origin(OriginKind.ENVIRONMENT, name)
            if path is None:
                values.problems.append(_unknown_variable(name, prefix, origin))
            elif _is_in_list(values, path):
                values.problems.append(_part_of_list(path, origin))
            elif not is_of_component(path):
                yield Setting(path, environ[name], origin)


def _known_settings(values: LayeredValues, flags: Sequence[Setting]) -> Iterator[Setting]:
    for setting in flags:
        path = setting.path
        if is_of_component(path):
            continue
        if field_schema(path) is None:
            message = f'there is no key "{join(path)}"'
            values.problems.append(Diagnostic("unknown-key", message, setting.origin, path=path, help=_suggest(path)))
        elif _is_in_list(values, path):
            values.problems.append(_part_of_list(path, setting.origin))
        else:
            yield setting


def _is_in_list(values: LayeredValues, path: FieldPath) -> bool:
    """Return whether a path leads into a graph whose value there is no mapping, such as a chain."""
    parents = (values.get(path[:length]) for length in range(1, len(path)))
    return path[:1] == ("graph",) and any(not isinstance(parent, dict) for parent in parents)


def _part_of_list(path: FieldPath, origin: Origin) -> Diagnostic:
    message = f"{join(path)} cannot be set alone: the graph has no such mapping"
    return Diagnostic("unknown-key", message, origin, path=path, help="set graph as a whole, in JSON")


def _suggest(path: FieldPath) -> str | None:
    parent = field_schema(path[:-1])
    if field_schema(path[:1]) is None and len(path) > 1:
        return suggest_key(path[:1], load_schema()["properties"])
    if parent is None:
        whole = guess(join(path), [join(known) for known, _ in fields()])
        return f'did you mean "{whole}"?' if whole else None
    return suggest_key(path, parent.get("properties", {}))


ENTRY_KEYS = ("path", "url", "timeout_seconds", "token", "ca")
"""The keys of a component that are not keys of a spec."""


def is_of_component(path: FieldPath) -> bool:
    """Return whether a setting belongs to the spec of a component of the graph."""
    return path[:1] == ("components",) and len(path) > 2 and path[2] not in ENTRY_KEYS


def component_name(step: str) -> str:
    """Return the name of a component, a DNS label, from its form in the name of a variable."""
    return step.lower().replace("_", "-")


def _generic_path(values: LayeredValues, steps: list[str], hints: Callable[[], ArgumentHints]) -> FieldPath | None:
    """Return the path of a ``SELDON_SPEC__`` variable: keys of the schema, ignoring case, then possibly a free key.

    The rest of the path of a component's own setting is not resolved.
    """
    path: FieldPath = ()
    schema: Schema = load_schema()
    for index, step in enumerate(steps):
        keys = {key.upper(): key for key in schema.get("properties", {})}
        if step.upper() in keys:
            path = (*path, keys[step.upper()])
            child = field_schema(path)
            assert child is not None
            schema = child
        elif holds_sections(schema) and step:
            path = (*path, component_name(step))
            rest = steps[index + 1 :]
            if rest and rest[0].lower() not in ENTRY_KEYS:
                return (*path, *rest)
            schema = field_schema(path) or {}
        elif takes_any_key(schema) and "__".join(steps[index:]):
            return (*path, _free_key(values, path, "__".join(steps[index:]), hints))
        else:
            return None
    return path


def _free_key(values: LayeredValues, path: FieldPath, step: str, hints: Callable[[], ArgumentHints]) -> str:
    existing = values.get(path)
    known: list[str] = list(existing) if isinstance(existing, dict) else []
    if path == ("parameters",):
        known += hints().names
    by_folded = {_fold(key): key for key in reversed(known)}
    fallback = step.lower() if path == ("parameters",) else step
    return by_folded.get(_fold(step), fallback)


def _fold(key: str) -> str:
    """Return a key as the name of a variable has it: upper case, and underscores for punctuation."""
    return "".join(c if c.isalnum() else "_" for c in key.upper())


def _unknown_variable(name: str, prefix: str, origin: Origin) -> Diagnostic:
    known = [generic_variable(path).removeprefix(PREFIX) for path, _ in fields()]
    near = guess(name.removeprefix(prefix), known)
    match = prefix + near if near else None
    return Diagnostic(
        "unknown-variable",
        f"there is no field for the variable {name}",
        origin,
        help=f"did you mean {match}?" if match else "seldon-spec show lists every field",
    )


def _warn_collisions(values: LayeredValues, named: list[Setting], generic: list[Setting]) -> None:
    by_path = {setting.path: setting for setting in named}
    for setting in generic:
        other = by_path.get(setting.path)
        if other:
            values.problems.append(
                Diagnostic(
                    "shadowed-variable",
                    f"{join(setting.path)} is set by two variables",
                    other.origin,
                    Severity.WARNING,
                    setting.path,
                    found=f"{other.origin.name} and {setting.origin.name}",
                    help=f"{setting.origin.name} takes precedence; unset one of the two",
                )
            )
