"""Variables and flags laid over the file: one way to read a text, for the names of ``variables`` and our own.

The process's environment is handed in. A text is read by the schema type of its field, so a variable obeys the rules
that a line of the file obeys.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seldon_spec.config.layers import parameters as seldon_parameters
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.unit import set_unit
from seldon_spec.config.layers.variables import TABLE, Reading, Variable, field_variables
from seldon_spec.config.schema.schema import (
    Schema,
    SourceLocations,
    check,
    describe,
    field_schema,
    fields,
    guess,
    is_section,
    is_sensitive,
    join,
    load_schema,
    normalise,
    remedy_of_secret,
    suggest_key,
    takes_any_key,
    types_of,
)
from seldon_spec.config.secret_names import HIDDEN, names_secret
from seldon_spec.errors import DEFAULT_ORIGIN, Diagnostic, FieldPath, Origin, OriginKind, Severity

PREFIX = "SELDON_SPEC__"


def generic_variable(path: FieldPath) -> str:
    """The variable of our own that sets the field at ``path``."""
    return PREFIX + "__".join(step.upper() for step in path)


@dataclass(frozen=True, slots=True)
class Setting:
    """One text for one field."""

    path: FieldPath
    text: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class ArgumentHints:
    """What the class's ``__init__`` says of its arguments: how a parameter's text is read."""

    names: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


def overlay(
    merged: LayeredValues,
    environ: Mapping[str, str],
    flags: Sequence[Setting],
    hints: Callable[[], ArgumentHints],
) -> None:
    """Lay the environment and then the flags over ``merged``; findings go to its ``problems``.

    An empty variable is not set; where a boolean is read it is false, as in the original. Under a key of the user's own
    naming, e.g. in ``parameters``, the empty text is a value.
    """
    named = [*_without_empty(_named_settings(environ))]
    generic = [*_without_empty(_generic_settings(merged, environ, hints))]
    _warn_collisions(merged, named, generic)
    for setting in named:
        _apply(merged, setting, hints)
    for row in TABLE:
        if environ.get(row.name, "").strip() and row.reading in _SPECIAL:
            _SPECIAL[row.reading](merged, row, environ[row.name])
    set_unit(merged, environ)
    for setting in [*generic, *_known_settings(merged, flags)]:
        _apply(merged, setting, hints)


def _without_empty(settings: Iterable[Setting]) -> Iterator[Setting]:
    for setting in settings:
        schema, holder = field_schema(setting.path) or {}, field_schema(setting.path[:-1]) or {}
        if setting.text.strip() or takes_any_key(holder):
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
    merged: LayeredValues, environ: Mapping[str, str], hints: Callable[[], ArgumentHints]
) -> Iterator[Setting]:
    for name in sorted(environ):
        if name.startswith(PREFIX):
            path = _generic_path(merged, name, hints)
            origin = Origin(OriginKind.ENVIRONMENT, name)
            if path is None:
                merged.problems.append(_unknown_variable(name, origin))
            else:
                yield Setting(path, environ[name], origin)


def flag(path: FieldPath, text: str, name: str | None = None) -> Setting:
    """A text that a flag gives to the field at ``path``; ``--set`` is the flag unless ``name`` is another."""
    return Setting(path, text, Origin(OriginKind.FLAG, name or f"--set {join(path)}"))


def _known_settings(merged: LayeredValues, flags: Sequence[Setting]) -> Iterator[Setting]:
    for setting in flags:
        path = setting.path
        if field_schema(path) is None:
            message = f'there is no key "{join(path)}"'
            merged.problems.append(Diagnostic("unknown-key", message, setting.origin, path=path, help=_suggest(path)))
        else:
            yield setting


def _suggest(path: FieldPath) -> str | None:
    parent = field_schema(path[:-1])
    if parent is None:
        whole = guess(join(path), [join(known) for known, _ in fields()])
        return f'did you mean "{whole}"?' if whole else None
    return suggest_key(path, parent.get("properties", {}))


def _generic_path(merged: LayeredValues, name: str, hints: Callable[[], ArgumentHints]) -> FieldPath | None:
    """The field that a variable of ours names: schema keys whatever their case, then a key of a free mapping."""
    steps = name[len(PREFIX) :].split("__")
    path: FieldPath = ()
    schema: Schema = load_schema()
    for index, step in enumerate(steps):
        keys = {key.upper(): key for key in schema.get("properties", {})}
        if step.upper() in keys:
            path = (*path, keys[step.upper()])
            child = field_schema(path)
            assert child is not None
            schema = child
        elif takes_any_key(schema) and "__".join(steps[index:]):
            return (*path, _free_key(merged, path, "__".join(steps[index:]), hints))
        else:
            return None
    return path


def _free_key(merged: LayeredValues, path: FieldPath, step: str, hints: Callable[[], ArgumentHints]) -> str:
    existing = merged.get(path)
    known: list[str] = list(existing) if isinstance(existing, dict) else []
    if path == ("parameters",):
        known += hints().names
    by_folded = {_fold(key): key for key in reversed(known)}
    fallback = step.lower() if path == ("parameters",) else step
    return by_folded.get(_fold(step), fallback)


def _fold(key: str) -> str:
    """A key as a variable can spell it: no case, and everything but letters and digits the same."""
    return "".join(c if c.isalnum() else "_" for c in key.upper())


def _unknown_variable(name: str, origin: Origin) -> Diagnostic:
    known = {generic_variable(path).removeprefix(PREFIX): path for path, _ in fields()}
    near = guess(name.removeprefix(PREFIX), known)
    match = generic_variable(known[near]) if near else None
    return Diagnostic(
        "unknown-variable",
        f"there is no field for the variable {name}",
        origin,
        help=f"did you mean {match}?" if match else "seldon-spec show lists every field",
    )


def _warn_collisions(merged: LayeredValues, named: list[Setting], generic: list[Setting]) -> None:
    by_path = {setting.path: setting for setting in named}
    for setting in generic:
        other = by_path.get(setting.path)
        if other:
            merged.problems.append(
                Diagnostic(
                    "shadowed-variable",
                    f"{join(setting.path)} is set by two variables",
                    other.origin,
                    Severity.WARNING,
                    setting.path,
                    found=f"{other.origin.name} and {setting.origin.name}",
                    help=f"{setting.origin.name} wins; unset one of the two",
                )
            )


def _apply(merged: LayeredValues, setting: Setting, hints: Callable[[], ArgumentHints]) -> None:
    schema = field_schema(setting.path)
    assert schema is not None
    try:
        value = _read(merged, setting, schema, hints)
    except _Unreadable as error:
        merged.problems.append(_misread(merged, setting, schema, str(error)))
        return
    value = normalise(value, setting.path)
    places = SourceLocations(lambda _: setting.origin, lambda _: setting.origin)
    problems = [] if _is_parameter(setting.path) else check(value, setting.path, places)
    if problems:
        may_show = not any(is_sensitive(problem.path) for problem in problems)
        found = _found(merged, setting) if may_show else HIDDEN
        merged.problems.extend(replace(problem, found=found) for problem in problems)
        return
    parent = field_schema(setting.path[:-1])
    if parent is not None and _is_reference(parent):
        merged.set(setting.path[:-1], {setting.path[-1]: value}, setting.origin)
    elif setting.path == ("parameters",) and isinstance(value, list):
        for index, entry in enumerate(value):
            set_entry(merged, str(index), entry, setting.origin)
    elif isinstance(value, dict) and not _is_reference(schema) and not _is_parameter(setting.path):
        _set_leaves(merged, setting.path, value, setting.origin)
    else:
        merged.set(setting.path, value, setting.origin)


def _is_parameter(path: FieldPath) -> bool:
    return path[0] == "parameters" and len(path) > 1


def _is_reference(schema: Schema) -> bool:
    return "from_env" in schema.get("properties", {})


def _set_leaves(merged: LayeredValues, path: FieldPath, value: Mapping[str, Any], origin: Origin) -> None:
    if not value and "null" in types_of(field_schema(path) or {}) and merged.get(path) is None:
        merged.open(path, origin)
    for key, item in value.items():
        schema = field_schema((*path, key))
        if isinstance(item, dict) and schema is not None and is_section(schema):
            _set_leaves(merged, (*path, key), item, origin)
        else:
            merged.set((*path, key), item, origin)


class _Unreadable(ValueError):
    """A text cannot be read as its field's type; the message says so after the field's name."""


def _read(merged: LayeredValues, setting: Setting, schema: Schema, hints: Callable[[], ArgumentHints]) -> Any:
    if _is_parameter(setting.path):
        return _read_parameter(merged, setting, hints())
    return read_text(setting.text, schema)


def read_text(text: str, schema: Schema) -> Any:
    """Read a text by the types that its field may have.

    Raises:
        _Unreadable: the text is none of them.
    """
    types = types_of(schema)
    if "null" in types and text.strip().lower() == "null":
        return None
    if "string" in types:
        return _json_or_text(text, "{" if "object" in types else "[" if "array" in types else "")
    if "boolean" in types:
        return _required(seldon_parameters.read_boolean(text), "is not a boolean")
    if "integer" in types:
        return _required(seldon_parameters.read_integer(text), "is not an integer")
    if "number" in types:
        return _read_number(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _Unreadable(f"is not JSON: {'a list' if types[0] == 'array' else 'a mapping'} is given as JSON") from None


def _required(value: Any, complaint: str) -> Any:
    if value is None:
        raise _Unreadable(complaint)
    return value


def _read_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise _Unreadable("is not a number") from None
    if not math.isfinite(number):
        raise _Unreadable("is not a finite number")
    return int(number) if number.is_integer() else number


def _json_or_text(text: str, opening: str) -> Any:
    """A reference to a secret, or a list, where the text is JSON that begins so; else the text itself."""
    if opening and text.lstrip().startswith(opening):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _read_parameter(merged: LayeredValues, setting: Setting, hints: ArgumentHints) -> Any:
    """JSON where it parses as JSON, unless the file's value or the annotation says that the argument is text."""
    current = merged.get(setting.path)
    annotation = hints.annotations.get(setting.path[1], "").strip("'\"").replace(" ", "")
    if isinstance(current, str) or annotation in (
        "str",
        "str|None",
        "None|str",
        "Optional[str]",
        "typing.Optional[str]",
    ):
        return setting.text
    try:
        return json.loads(setting.text)
    except (ValueError, RecursionError):
        return setting.text


def _misread(merged: LayeredValues, setting: Setting, schema: Schema, complaint: str) -> Diagnostic:
    allowed = describe(schema)
    if types_of(schema)[:1] == ("boolean",):
        allowed = seldon_parameters.BOOLEAN_WORDS
    return Diagnostic(
        "type",
        f"{join(setting.path)} {complaint}",
        setting.origin,
        path=setting.path,
        found=_found(merged, setting),
        allowed=allowed,
        help=remedy_of_secret("type", schema),
    )


def _found(merged: LayeredValues, setting: Setting) -> str:
    below = merged.origins.get(setting.path, DEFAULT_ORIGIN)
    above = "" if below.kind is OriginKind.DEFAULT else f", standing above {below}"
    return f"{show_text(setting.path, setting.text)} ({setting.origin.kind.value}{above})"


def show_text(path: FieldPath, text: str) -> str:
    """A variable's text for a diagnostic, unless it is, or may hold, a secret."""
    if is_sensitive(path) or path[:1] in (("parameters",), ("environment",)) or names_secret(text):
        return HIDDEN
    is_json = '"' in text and "'" not in text and text.isprintable()
    quoted = f"'{text}'" if is_json else json.dumps(text, ensure_ascii=False)
    return quoted if len(quoted) <= 80 else f"{quoted[:79]}…"


def _force(merged: LayeredValues, row: Variable, text: str) -> None:
    """A switch of the original: any number but zero gives the field the row's value (contract 7.1)."""
    origin = Origin(OriginKind.ENVIRONMENT, row.name)
    value = seldon_parameters.read_boolean(text)
    number = seldon_parameters.read_integer(text)
    if value is None and number is None:
        merged.problems.append(
            Diagnostic(
                "type",
                f"{row.name} is neither a number nor a boolean",
                origin,
                path=row.path,
                found=json.dumps(text),
                allowed=seldon_parameters.BOOLEAN_WORDS,
            )
        )
    elif value or (value is None and number):
        merged.set(row.path, row.value, origin)


def _set_grpc_workers(merged: LayeredValues, row: Variable, text: str) -> None:
    """None of gRPC's own processes means that no gRPC is served (contract section 3.2)."""
    origin = Origin(OriginKind.ENVIRONMENT, row.name)
    number = seldon_parameters.read_integer(text)
    if number is None or number < 0:
        merged.problems.append(
            Diagnostic(
                "type",
                f"{row.name} is not a number of workers",
                origin,
                path=row.path,
                found=json.dumps(text),
                allowed="integer, 0 or more",
            )
        )
    elif number == 0:
        merged.set(row.path, None, origin)
    else:
        _tell_unused(merged, row, text)


def _tell_unused(merged: LayeredValues, row: Variable, text: str) -> None:
    if is_unheeded(row, text):
        merged.problems.append(no_effect(row, Origin(OriginKind.ENVIRONMENT, row.name)))


def is_unheeded(row: Variable, text: str) -> bool:
    """Whether a text of this variable asks for something that is not done here."""
    return bool(row.instead) and text.strip().lower() not in row.quiet


def no_effect(row: Variable, origin: Origin) -> Diagnostic:
    """The note that what ``origin`` asks for is not done here."""
    return Diagnostic("no-effect", f"{origin.name} has no effect", origin, Severity.NOTE, help=row.instead)


def _set_parameters(merged: LayeredValues, row: Variable, text: str) -> None:
    """Merge Seldon's parameters over the file's, by name; of two entries of one name the last counts (contract 7.3)."""
    origin = Origin(OriginKind.ENVIRONMENT, row.name)
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f" ({error.msg} at character {error.pos + 1})" if isinstance(error, json.JSONDecodeError) else ""
        merged.problems.append(
            Diagnostic(
                "parameters-json",
                f"the parameters are not JSON{reason}",
                origin,
                path=("parameters",),
                allowed='a list of {"name": …, "type": …, "value": …}',
            )
        )
        return
    if not isinstance(entries, list):
        merged.problems.append(
            Diagnostic(
                "parameters-json",
                "the parameters are not a list",
                origin,
                path=("parameters",),
                allowed='a list of {"name": …, "type": …, "value": …}',
            )
        )
        return
    places = SourceLocations(lambda _: origin, lambda _: origin)
    problems = check(entries, ("parameters",), places)
    # A value may be a secret; the name of a type is none.
    merged.problems.extend(p if p.path[-1] == "type" else replace(p, found=None) for p in problems)
    wrong = {p.path[1] for p in problems if len(p.path) > 1}
    for index, entry in enumerate(entries):
        if str(index) not in wrong:
            set_entry(merged, str(index), entry, origin)


_SPECIAL: Mapping[Reading, Callable[[LayeredValues, Variable, str], None]] = {
    Reading.FORCE: _force,
    Reading.GRPC_WORKERS: _set_grpc_workers,
    Reading.NOTHING: _tell_unused,
    Reading.PARAMETERS: _set_parameters,
}
"""What is not read by the type of a field; the readings of ``unit`` are its own."""


def set_entry(merged: LayeredValues, index: str, entry: Mapping[str, Any], origin: Origin) -> None:
    """Set one parameter of Seldon's list, or tell why its value is not of its type."""
    name = entry["name"]
    try:
        value = seldon_parameters.convert_entry(entry)
    except seldon_parameters.NotOfType as error:
        is_secret = is_sensitive(("parameters", name))
        shown = HIDDEN if is_secret else json.dumps(entry["value"], ensure_ascii=False)
        merged.problems.append(
            Diagnostic(
                "parameter-type",
                f'the parameter "{name}" {error}',
                origin,
                path=("parameters", index, "value"),
                found=shown,
                allowed=error.allowed,
            )
        )
        return
    merged.set(("parameters", name), value, origin)
