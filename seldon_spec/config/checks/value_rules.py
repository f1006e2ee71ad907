"""Rules of the values that declared inputs and outputs allow: bounds, choices and examples."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.schema.describe import clip
from seldon_spec.config.schema.lookup import join
from seldon_spec.errors import Diagnostic, FieldPath

_MAX_DIMENSIONS = 32
_MAX_SHOWN = 10

_BOUNDS = {"minimum": "less than the minimum", "maximum": "greater than the maximum"}


@dataclass(frozen=True, slots=True)
class _Rules:
    """The values that a tensor, or a column of it, allows.

    Attributes:
        path: of the tensor or the column.
        own: the mapping at ``path``; of a column that is only a name, an empty one.
        bounds: each effective bound with its path, which is the tensor's if a column inherits it.
    """

    path: FieldPath
    datatype: str
    content_type: str | None
    own: Mapping[str, Any]
    bounds: Mapping[str, tuple[float, FieldPath]]
    choices: Sequence[Any]
    is_optional: bool


def check_values(context: RuleContext, at: FieldPath, tensor: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Report bounds, choices and examples of a tensor at ``at`` that contradict each other or its datatype."""
    rules = _make_rules(at, tensor, None)
    columns = [
        _make_rules((*at, "columns", str(index)), {} if isinstance(column, str) else column, rules)
        for index, column in enumerate(tensor.get("columns", ()))
    ]
    for each in (rules, *columns):
        yield from _check_bounds(context, each)
        yield from _check_choices(context, each)
    yield from _check_example(context, rules, tensor["shape"], columns)
    for column in columns:
        if (value := column.own.get("example")) is not None:
            yield from _check_example_value(context, column, (*column.path, "example"), value)


def _make_rules(at: FieldPath, own: Mapping[str, Any], parent: _Rules | None) -> _Rules:
    bounds = {key: (own[key], (*at, key)) for key in _BOUNDS if own.get(key) is not None}
    return _Rules(
        at,
        own["datatype"] if parent is None else parent.datatype,
        own.get("content_type") if parent is None else parent.content_type,
        own,
        bounds if parent is None else {**parent.bounds, **bounds},
        own.get("choices") or (() if parent is None else parent.choices),
        own.get("optional", False) or (parent is not None and parent.is_optional),
    )


def integer_range(datatype: str) -> tuple[int, int] | None:
    """Return the smallest and the largest value of an integer datatype; None for any other."""
    match = re.fullmatch(r"(U?)INT(\d+)", datatype)
    if match is None:
        return None
    bits = int(match[2])
    return (0, 2**bits - 1) if match[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _check_bounds(context: RuleContext, rules: _Rules) -> Iterator[Diagnostic]:
    own = {key: value for key, (value, path) in rules.bounds.items() if path[:-1] == rules.path}
    limits = integer_range(rules.datatype)
    for key, value in own.items():
        path = (*rules.path, key)
        if rules.datatype in ("BOOL", "BYTES"):
            yield Diagnostic(
                "bounds-unused",
                f"{join(path)} applies to numbers, and the values are {rules.datatype}",
                context.item_origin(*path),
                path=path,
                help="delete it; choices can list the values",
            )
        elif limits is not None and not limits[0] <= value <= limits[1]:
            yield Diagnostic(
                "bounds-range",
                f"{join(path)} is outside the range of {rules.datatype}",
                context.item_origin(*path),
                path=path,
                found=str(value),
                allowed=f"{limits[0]} to {limits[1]}",
                help="delete it, or write a larger datatype",
            )
    if own and len(rules.bounds) == len(_BOUNDS) and rules.bounds["minimum"][0] > rules.bounds["maximum"][0]:
        key = "minimum" if "minimum" in own else "maximum"
        path = (*rules.path, key)
        minimum, maximum = rules.bounds["minimum"], rules.bounds["maximum"]
        other = maximum if key == "minimum" else minimum
        yield Diagnostic(
            "bounds-order",
            f"{join(rules.path)}: the minimum {minimum[0]} is greater than the maximum {maximum[0]}",
            context.item_origin(*path),
            path=path,
            notes=(f"{join(other[1])} is {other[0]}: {context.item_origin(*other[1])}",),
            help="swap them" if len(own) == len(_BOUNDS) else f"give the column a {other[1][-1]} of its own",
        )


def _check_choices(context: RuleContext, rules: _Rules) -> Iterator[Diagnostic]:
    first: dict[Any, FieldPath] = {}
    for index, value in enumerate(rules.own.get("choices", ())):
        path = (*rules.path, "choices", str(index))
        problem = _find_type_problem(value, rules) or _find_bound_problem(value, rules)
        if problem is not None:
            yield Diagnostic(
                "choice-value",
                f"{join(path)}: {problem[0]}",
                context.item_origin(*path),
                path=path,
                allowed=problem[1],
                help=_suggest(context, path, value, rules),
            )
        elif value in first:
            yield Diagnostic(
                "duplicate-choice",
                f"{join(rules.path)} has the choice {_show(value)} twice",
                context.item_origin(*path),
                path=path,
                notes=(f"first given: {join(first[value])} ({context.item_origin(*first[value])})",),
            )
        else:
            first[value] = path


def _check_example(
    context: RuleContext, rules: _Rules, shape: Sequence[int], columns: Sequence[_Rules]
) -> Iterator[Diagnostic]:
    example = rules.own.get("example")
    if example is None:
        return
    path = (*rules.path, "example")
    row = shape[1:] if shape and shape[0] == -1 else None
    found = _shape_of(example)
    if not _fits(found, shape) and not (row is not None and _fits(found, row)):
        yield Diagnostic(
            "example-shape",
            f'{join(path)} does not have the shape of "{clip(rules.own["name"])}"',
            context.item_origin(*path),
            path=path,
            found="lists of different lengths" if found is None else _show_shape(found),
            allowed=_show_shape(shape) + ("" if row is None else f"; for one row, {_show_shape(row)}"),
        )
        return
    for steps, value in _leaves(example):
        column = columns[steps[-1]] if steps and steps[-1] < len(columns) else rules
        yield from _check_example_value(context, column, (*path, *map(str, steps)), value)


def _check_example_value(context: RuleContext, rules: _Rules, path: FieldPath, value: Any) -> Iterator[Diagnostic]:
    if value is None and rules.is_optional:
        return
    problem = _find_problem(value, rules)
    if problem is not None:
        yield Diagnostic(
            "example-value",
            f"{join(path)}: {problem[0]}",
            context.item_origin(*path),
            path=path,
            allowed=problem[1],
            help=_suggest(context, path, value, rules),
        )


def _find_problem(value: Any, rules: _Rules) -> tuple[str, str | None] | None:
    """Return what is wrong with a value, and the allowed values if the message does not name them."""
    problem = _find_type_problem(value, rules) or _find_bound_problem(value, rules)
    if problem is None and rules.choices and value not in rules.choices:
        more = "; …" if len(rules.choices) > _MAX_SHOWN else ""
        shown = ", ".join(_show(choice) for choice in rules.choices[:_MAX_SHOWN])
        return f"{_show(value)} is not one of {shown}{more}", None
    return problem


def _find_type_problem(value: Any, rules: _Rules) -> tuple[str, str | None] | None:
    if value is None:
        return "a value is missing, and the input is not optional", None
    if rules.datatype == "BYTES":
        if not isinstance(value, str):
            return f"{_show(value)} is not text", "text, which BYTES elements are in JSON"
        return _find_text_problem(value, rules.content_type)
    if rules.datatype == "BOOL":
        return None if isinstance(value, bool) else (f"{_show(value)} is not a boolean", "true or false")
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return f"{_show(value)} is not a number", None
    limits = integer_range(rules.datatype)
    if limits is None:
        return None
    allowed = f"an integer, {limits[0]} to {limits[1]}"
    if isinstance(value, float) and not value.is_integer():
        return f"{_show(value)} is not an integer", allowed
    return None if limits[0] <= value <= limits[1] else (f"{_show(value)} is outside {rules.datatype}", allowed)


def _find_text_problem(text: str, content_type: str | None) -> tuple[str, str] | None:
    """Return why a text is not an element of a content type."""
    try:
        if content_type == "json":
            json.loads(text)
        elif content_type == "datetime":
            datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)
        elif content_type == "base64" or (content_type or "").startswith("image/"):
            base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, RecursionError):
        what = {"json": "JSON", "datetime": "a time in ISO 8601"}.get(content_type or "", "base64")
        return f"{_show(text)} is not {what}", f"{what}, as content_type is {content_type}"
    return None


def _find_bound_problem(value: Any, rules: _Rules) -> tuple[str, str | None] | None:
    if rules.datatype in ("BOOL", "BYTES"):
        return None
    for key, complaint in _BOUNDS.items():
        if key in rules.bounds:
            bound = rules.bounds[key][0]
            if value < bound if key == "minimum" else value > bound:
                return f"{_show(value)} is {complaint} {bound}", None
    return None


def _suggest(context: RuleContext, path: FieldPath, value: Any, rules: _Rules) -> str | None:
    """Return the help for a value that has another type because of its quotes, or because it has none."""
    if rules.datatype == "BYTES" and isinstance(value, (bool, int, float)):
        return f'write it in quotes: "{context.document.written(path) or json.dumps(value)}"'
    if rules.datatype != "BYTES" and isinstance(value, str):
        is_value = (
            value in ("true", "false") if rules.datatype == "BOOL" else re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value)
        )
        return f"write it without quotes: {value}" if is_value else None
    return None


def _show(value: Any) -> str:
    return clip(repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _show_shape(shape: Sequence[int]) -> str:
    return f"shape {list(shape)}" if shape else "one value"


def _fits(found: Sequence[int] | None, shape: Sequence[int]) -> bool:
    """Return whether the shape of a value matches a declared one, in which -1 is any size but 0."""
    return (
        found is not None
        and len(found) == len(shape)
        and all(size == declared or (declared == -1 and size > 0) for size, declared in zip(found, shape, strict=True))
    )


def _shape_of(value: Any, dimensions: int = _MAX_DIMENSIONS) -> tuple[int, ...] | None:
    """Return the shape of nested lists; None if their lengths differ or they have too many dimensions."""
    if not isinstance(value, list):
        return ()
    shapes = {_shape_of(item, dimensions - 1) for item in value} if dimensions else {None}
    inner = shapes.pop() if shapes else ()
    return None if shapes or inner is None else (len(value), *inner)


def _leaves(value: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield each element of nested lists with its index."""
    if not isinstance(value, list):
        yield (), value
        return
    for index, item in enumerate(value):
        for steps, leaf in _leaves(item):
            yield (index, *steps), leaf
