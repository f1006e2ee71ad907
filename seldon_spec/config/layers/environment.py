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
from seldon_spec.config.schema.lookup import Schema, field_schema, fields, join, load_schema, takes_any_key, types_of
from seldon_spec.config.schema.suggest import guess, suggest_key
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Severity

PREFIX = "SELDON_SPEC__"


def generic_variable(path: FieldPath) -> str:
    """Return the ``SELDON_SPEC__`` variable of the field at ``path``."""
    return PREFIX + "__".join(step.upper() for step in path)


def overlay(
    values: LayeredValues,
    environ: Mapping[str, str],
    flags: Sequence[Setting],
    hints: Callable[[], ArgumentHints],
) -> None:
    """Apply the environment, then the flags; diagnostics are appended to ``values.problems``.

    An empty variable is ignored, except that it sets a boolean to false, as in Seldon Core, and a free key, e.g. in
    ``parameters``, to the empty text.
    """
    named = [*_without_empty(_named_settings(environ))]
    generic = [*_without_empty(_generic_settings(values, environ, hints))]
    _warn_collisions(values, named, generic)
    for setting in named:
        apply_setting(values, setting, hints)
    for row in TABLE:
        if environ.get(row.name, "").strip() and row.reading in SPECIAL:
            SPECIAL[row.reading](values, row, environ[row.name])
    set_unit(values, environ)
    for setting in [*generic, *_known_settings(values, flags)]:
        apply_setting(values, setting, hints)


def _without_empty(settings: Iterable[Setting]) -> Iterator[Setting]:
    for setting in settings:
        schema, parent = field_schema(setting.path) or {}, field_schema(setting.path[:-1]) or {}
        if setting.text.strip() or takes_any_key(parent):
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
    values: LayeredValues, environ: Mapping[str, str], hints: Callable[[], ArgumentHints]
) -> Iterator[Setting]:
    for name in sorted(environ):
        if name.startswith(PREFIX):
            path = _generic_path(values, name, hints)
            origin = Origin(OriginKind.ENVIRONMENT, name)
            if path is None:
                values.problems.append(_unknown_variable(name, origin))
            else:
                yield Setting(path, environ[name], origin)


def _known_settings(values: LayeredValues, flags: Sequence[Setting]) -> Iterator[Setting]:
    for setting in flags:
        path = setting.path
        if field_schema(path) is None:
            message = f'there is no key "{join(path)}"'
            values.problems.append(Diagnostic("unknown-key", message, setting.origin, path=path, help=_suggest(path)))
        else:
            yield setting


def _suggest(path: FieldPath) -> str | None:
    parent = field_schema(path[:-1])
    if parent is None:
        whole = guess(join(path), [join(known) for known, _ in fields()])
        return f'did you mean "{whole}"?' if whole else None
    return suggest_key(path, parent.get("properties", {}))


def _generic_path(values: LayeredValues, name: str, hints: Callable[[], ArgumentHints]) -> FieldPath | None:
    """Return the path of a ``SELDON_SPEC__`` variable: keys of the schema, ignoring case, then possibly a free key."""
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
