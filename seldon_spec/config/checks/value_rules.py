"""Rules of the values that declared inputs and outputs allow: bounds, choices and examples."""

from __future__ import annotations

import base64
import json
import math
import re
import sys
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


_FLOAT_LIMITS = {
    "FP16": 65504.0,
    "BF16": (2 - 2.0**-7) * 2.0**127,
    "FP32": (2 - 2.0**-23) * 2.0**127,
    "FP64": sys.float_info.max,
}
"""The largest finite number by datatype."""


def _integer_range(datatype: str) -> tuple[int, int] | None:
    """Return the smallest and the largest value of an integer datatype; None for any other."""
    match = re.fullmatch(r"(U?)INT(\d+)", datatype)
    if match is None:
        return None
    bits = int(match[2])
    return (0, 2**bits - 1) if match[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _number_range(datatype: str) -> tuple[float, float]:
    """Return the smallest and the largest finite value of a datatype of numbers."""
    return _integer_range(datatype) or (-_FLOAT_LIMITS[datatype], _FLOAT_LIMITS[datatype])


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)  # a large integer cannot be converted to a float


def _check_bounds(context: RuleContext, rules: _Rules) -> Iterator[Diagnostic]:
    own = {key: value for key, (value, path) in rules.bounds.items() if path[:-1] == rules.path}
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
            continue
        low, high = _number_range(rules.datatype)
        if not low <= value <= high:
            yield Diagnostic(
                "bounds-range",
                f"{join(path)} is outside the range of {rules.datatype}",
                context.item_origin(*path),
                path=path,
                found=_show(value),
                allowed=f"{low} to {high}",
                help="delete it, or write a larger datatype"
                if rules.datatype != "FP64" and _is_finite(value)
                else "delete it",
            )
    if own and len(rules.bounds) == len(_BOUNDS):
        yield from _check_order(context, rules, own)


def _check_order(context: RuleContext, rules: _Rules, own: Mapping[str, float]) -> Iterator[Diagnostic]:
    """Report bounds that allow no value; ``own`` are those that are not inherited."""
    minimum, maximum = rules.bounds["minimum"], rules.bounds["maximum"]
    low, high = _show(minimum[0]), _show(maximum[0])
    if minimum[0] > maximum[0]:
        problem, remedy = f"the minimum {low} is greater than the maximum {high}", "swap them"
    elif (
        _integer_range(rules.datatype)
        and minimum[0] > maximum[0] - 1
        and math.ceil(minimum[0]) > math.floor(maximum[0])
    ):
        problem = f"no {rules.datatype} is between the minimum {low} and the maximum {high}"
        remedy = "write integers, or a datatype of floats"
    else:
        return
    key = "minimum" if "minimum" in own else "maximum"
    path = (*rules.path, key)
    other = maximum if key == "minimum" else minimum
    yield Diagnostic(
        "bounds-order",
        f"{join(rules.path)}: {problem}",
        context.item_origin(*path),
        path=path,
        notes=(f"{join(other[1])} is {_show(other[0])}: {context.item_origin(*other[1])}",),
        help=remedy if len(own) == len(_BOUNDS) else f"give the column a {other[1][-1]} of its own",
    )


def _check_choices(context: RuleContext, rules: _Rules) -> Iterator[Diagnostic]:
    choices = rules.own.get("choices", ())
    if choices and rules.datatype == "BYTES" and not _is_plain(rules.content_type):
        path = (*rules.path, "choices")
        yield Diagnostic(
            "choice-value",
            f"{join(path)} applies to text, and the values are {rules.content_type}",
            context.item_origin(*path),
            path=path,
            help="delete it, or write content_type: str",
        )
        return
    first: dict[Any, FieldPath] = {}
    for index, value in enumerate(choices):
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
    if not _is_finite(value):
        return f"{_show(value)} is not a finite number", "a finite number"
    low, high = _number_range(rules.datatype)
    allowed = f"{low} to {high}"
    if _integer_range(rules.datatype):
        allowed = f"an integer, {allowed}"
        if isinstance(value, float) and not value.is_integer():
            return f"{_show(value)} is not an integer", allowed
    return None if low <= value <= high else (f"{_show(value)} is outside {rules.datatype}", allowed)


def _is_plain(content_type: str | None) -> bool:
    """Return whether elements of BYTES are compared with the choices as they are."""
    return content_type in (None, "str", "bytes")


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
                return f"{_show(value)} is {complaint} {_show(bound)}", None
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
