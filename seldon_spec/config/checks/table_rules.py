"""Rules of inputs that the class gets as a table: a DataFrame of pandas or polars, or one array per column."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.schema.describe import clip
from seldon_spec.config.schema.lookup import join
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Severity

_PACKAGES = {"dataframe": "pandas", "polars": "polars"}
"""The package of a table by the value of the key ``as``."""

_TABLE_HOOKS = ("predict", "transform_input")


def needed_by_tables(context: RuleContext) -> Iterator[tuple[FieldPath, str]]:
    """Yield the module that the value of each key ``as`` needs, with the path of the key."""
    for at, tensor in _inputs(context):
        if tensor.get("as") in _PACKAGES:
            yield (*at, "as"), _PACKAGES[tensor["as"]]


def check_tables(context: RuleContext) -> Iterator[Diagnostic]:
    """Report a key ``as`` that the inputs or the class contradict, and inputs that cannot be optional."""
    inputs = _inputs(context)
    yield from _check_as(context, inputs)
    found = context.class_source
    if isinstance(found, ClassSource):
        yield from _check_annotations(context, found, inputs)
        yield from _check_optional(context, found, inputs)


def _inputs(context: RuleContext) -> list[tuple[FieldPath, Mapping[str, Any]]]:
    """Return the declared inputs with their paths; none for a list of column names."""
    entries = context.values.get(("inputs",)) or []
    return [(("inputs", str(index)), entry) for index, entry in enumerate(entries) if isinstance(entry, Mapping)]


def _is_column(tensor: Mapping[str, Any]) -> bool:
    return tensor["shape"] in ([-1], [-1, 1])


def _find_odd_input(inputs: Sequence[tuple[FieldPath, Mapping[str, Any]]]) -> Mapping[str, Any] | None:
    """Return the first input because of which the inputs are not a table; None if they are one."""
    if len(inputs) == 1:
        return None if len(inputs[0][1]["shape"]) in (1, 2) else inputs[0][1]
    return next((tensor for _, tensor in inputs if not _is_column(tensor)), None)


def _check_as(context: RuleContext, inputs: Sequence[tuple[FieldPath, Mapping[str, Any]]]) -> Iterator[Diagnostic]:
    odd = _find_odd_input(inputs)
    given = [((*at, "as"), tensor["as"]) for at, tensor in inputs if tensor.get("as") is not None]
    for path, value in given:
        if value in _PACKAGES and odd is not None:
            yield Diagnostic(
                "as-without-table",
                f"{join(path)} is {value}, but the inputs are not a table",
                context.item_origin(*path),
                path=path,
                found=f'the input "{clip(odd["name"])}" has the shape {odd["shape"]}',
                allowed="one input with one or two dimensions, or several of shape [-1] or [-1, 1]",
                help="delete it, or change the inputs",
            )
        elif value != given[0][1] and odd is None:
            yield Diagnostic(
                "as-conflict",
                f"{join(path)} is {value}, but {join(given[0][0])} is {given[0][1]}",
                context.item_origin(*path),
                path=path,
                notes=(f"first given: {context.item_origin(*given[0][0])}",),
                help="the inputs are one table: keep one of the two",
            )


def _check_annotations(
    context: RuleContext, found: ClassSource, inputs: Sequence[tuple[FieldPath, Mapping[str, Any]]]
) -> Iterator[Diagnostic]:
    """Report a first argument that is annotated as another type than it gets."""
    if not inputs or "infer" in found.hooks:
        return
    first = inputs[0][1]
    is_list = len(inputs) == 1 and first["datatype"] == "BYTES" and first["shape"] == [-1]
    wanted = next((tensor["as"] for _, tensor in inputs if tensor.get("as") is not None), None)
    odd = _find_odd_input(inputs)
    for hook in _TABLE_HOOKS:
        signature = found.signatures.get(hook)
        argument = signature.arguments[0] if signature and signature.arguments else None
        if signature is None or argument is None:
            continue
        annotated = table_types(argument.annotation)
        element = _element_type(argument.annotation) if is_list else None
        if element is not None:
            reason = f'the input "{clip(first["name"])}" of shape [-1] may have several elements'
            remedy = f"write shape: [1], or annotate list[{element}]"
        elif not annotated:
            continue
        elif wanted is not None and wanted not in annotated:
            reason, remedy = f"inputs declare as: {wanted}", "delete as, or change the annotation"
        elif "array" not in annotated and odd is not None:
            reason = f'the input "{clip(odd["name"])}" of shape {odd["shape"]} is not a table'
            remedy = "change the annotation, or the inputs"
        else:
            continue
        position = context.locate(signature.position)
        yield Diagnostic(
            "annotation-mismatch",
            f"{found.name}.{hook}: {argument.name} is annotated as {clip(argument.annotation or '')}, but {reason}",
            Origin(OriginKind.FILE, position.file, position),
            Severity.WARNING,
            ("class_name",),
            help=remedy,
        )


def table_types(annotation: str | None) -> frozenset[str]:
    """Return the values of ``as`` that an annotation may mean; none for any other annotation."""
    expression = _parse(annotation)
    return frozenset() if expression is None else _types_in(expression)


def _element_type(annotation: str | None) -> str | None:
    """Return the type of an argument that gets exactly one element of BYTES: an image or ``bytes``."""
    match _parse(annotation):
        case ast.Name(id="bytes"):
            return "bytes"
        case (
            ast.Attribute(
                value=ast.Name(id="Image") | ast.Attribute(value=ast.Name(id="PIL"), attr="Image"), attr="Image"
            ) as found
        ):
            return ast.unparse(found)
    return None


def _parse(annotation: str | None) -> ast.expr | None:
    try:
        return ast.parse((annotation or "").strip("'\""), mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return None


def _types_in(expression: ast.expr) -> frozenset[str]:
    match expression:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):  # a union, usually with None
            return _types_in(left) | _types_in(right)
        case ast.Attribute(value=ast.Name(id="pl" | "polars"), attr="DataFrame"):
            return frozenset({"polars"})
        case ast.Attribute(value=ast.Name(id="pd" | "pandas"), attr="DataFrame"):
            return frozenset({"dataframe"})
        case ast.Name(id="DataFrame"):
            return frozenset(_PACKAGES)
        case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="ndarray") | ast.Name(id="ndarray"):
            return frozenset({"array"})
    return frozenset()


def _check_optional(
    context: RuleContext, found: ClassSource, inputs: Sequence[tuple[FieldPath, Mapping[str, Any]]]
) -> Iterator[Diagnostic]:
    """Report optional inputs of a class that can neither be called without them nor get missing values.

    An array of floats has NaN, and a table has missing values of every datatype. Only ``infer`` and a table do
    without an input.
    """
    is_table = _find_odd_input(inputs) is None and (
        all(_is_column(tensor) for _, tensor in inputs)
        or any(tensor.get("as") in _PACKAGES for _, tensor in inputs)
        or any(
            not _PACKAGES.keys().isdisjoint(table_types(signature.arguments[0].annotation))
            for hook in _TABLE_HOOKS
            if (signature := found.signatures.get(hook)) and signature.arguments
        )
    )
    if is_table or not found.is_whole or "infer" in found.hooks:
        return
    for at, tensor in inputs:
        if tensor.get("optional") and tensor["datatype"] not in ("FP16", "FP32", "FP64", "BF16"):
            yield Diagnostic(
                "optional-without-infer",
                f'{found.name} has no infer method, so the input "{clip(tensor["name"])}" cannot be optional',
                context.item_origin(*at, "optional"),
                path=(*at, "optional"),
                related=(("the class", context.locate(found.position)),),
                allowed="an input of floats, whose missing values are NaN, or a table of columns",
                help="write def infer(self, inputs: dict), or delete optional",
            )
