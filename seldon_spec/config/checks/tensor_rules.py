"""Rules of the declared inputs and outputs, and of the class's method ``infer``."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.table_rules import check_tables
from seldon_spec.config.checks.value_rules import check_values
from seldon_spec.config.schema.describe import clip
from seldon_spec.config.schema.lookup import join
from seldon_spec.errors import Diagnostic, FieldPath, Severity

MAX_TENSORS = 256

INFER_ARGUMENTS = frozenset({"parameters", "context"})
"""The arguments that ``infer`` may have besides the first one; they are passed by name."""

_MAPPINGS = frozenset({"dict", "Dict", "Mapping", "MutableMapping"})
_OTHERS = frozenset(
    {"Any", "DataFrame", "Iterable", "List", "NDArray", "Optional", "Sequence", "Tensor", "Tuple", "Union"}
    | {"bool", "bytes", "float", "int", "list", "ndarray", "object", "str", "tuple"}
)
"""The names of types that are no mappings."""


def check_tensors(context: RuleContext) -> Iterator[Diagnostic]:
    """Report declared inputs and outputs that contradict themselves, each other or the class."""
    for key in ("inputs", "outputs"):
        yield from _check_key(context, key, context.values.get((key,)) or [])


def _check_key(context: RuleContext, key: str, entries: Sequence[Any]) -> Iterator[Diagnostic]:
    if entries and all(isinstance(entry, str) for entry in entries):
        yield from _check_names(context, "column", entries, [(key, str(index)) for index in range(len(entries))])
        return
    for index, entry in enumerate(entries):
        if isinstance(entry, str) != isinstance(entries[0], str):
            at = (key, str(index))
            yield Diagnostic(
                "mixed-inputs",
                f"{key} mixes names of columns and tensors",
                context.item_origin(*at),
                path=at,
                allowed="a list of column names only, or a list of tensors only",
                help=f"for several {key}, write each as {{name, datatype, shape}}",
            )
            return
    if len(entries) > MAX_TENSORS:
        yield Diagnostic(
            "form",
            f"invalid {key}",
            context.origin(key),
            path=(key,),
            found=f"{len(entries)} tensors",
            allowed=f"at most {MAX_TENSORS}",
        )
    names = [entry["name"] for entry in entries]
    yield from _check_names(
        context, key.removesuffix("s"), names, [(key, str(index), "name") for index in range(len(names))]
    )
    for index, tensor in enumerate(entries):
        yield from _check_tensor(context, (key, str(index)), tensor, is_only=len(entries) == 1)
    if key == "inputs":
        yield from check_tables(context)


def _check_names(
    context: RuleContext, what: str, names: Sequence[str], paths: Sequence[FieldPath]
) -> Iterator[Diagnostic]:
    """Report names that occur twice; ``what`` has them, and ``paths`` are those of the names."""
    first: dict[str, FieldPath] = {}
    for name, path in zip(names, paths, strict=True):
        if name in first:
            yield Diagnostic(
                "duplicate-name",
                f'two {what}s have the name "{clip(name)}"',
                context.item_origin(*path),
                path=path,
                notes=(f"first given: {join(first[name])} ({context.item_origin(*first[name])})",),
            )
        first.setdefault(name, path)


def _check_tensor(
    context: RuleContext, at: FieldPath, tensor: dict[str, Any], *, is_only: bool
) -> Iterator[Diagnostic]:
    name, shape = tensor["name"], tensor["shape"]
    columns = [column if isinstance(column, str) else column["name"] for column in tensor.get("columns", [])]
    what = at[0].removesuffix("s")
    if tensor.get("content_type") is not None and tensor["datatype"] != "BYTES":
        yield Diagnostic(
            "content-type-unused",
            f'{join(at)}: content_type applies to BYTES, and "{clip(name)}" is {tensor["datatype"]}',
            context.item_origin(*at, "content_type"),
            path=(*at, "content_type"),
            help="delete content_type, or write datatype: BYTES",
        )
    if columns:
        path = (*at, "columns")
        yield from _check_names(context, "column", columns, [(*path, str(index)) for index in range(len(columns))])
        if not is_only or len(shape) != 2 or shape[1] not in (-1, len(columns)):
            problem = (
                f"{at[0]} has several"
                if not is_only
                else f"the shape {shape} has {len(shape)}"
                if len(shape) != 2
                else f"the shape {shape} has {shape[1]} columns"
            )
            yield Diagnostic(
                "columns-mismatch",
                f'{join(path)} does not match the {what} "{clip(name)}"',
                context.item_origin(*path),
                path=path,
                found=f"{len(columns)} names; {problem}",
                allowed=f"the names of the columns of the only {what}, of shape [-1, number of names]",
            )
    yield from check_values(context, at, tensor)


def check_infer(context: RuleContext) -> Iterator[Diagnostic]:
    """Report a method ``infer`` that no request calls."""
    found = context.class_source
    if not isinstance(found, ClassSource) or "infer" not in found.signatures or uses_infer(context, found) is not False:
        return
    yield Diagnostic(
        "unused-infer",
        f"{found.name}.infer is not used: inputs is empty, and its first argument is not annotated as a dict",
        context.origin("class_name"),
        Severity.WARNING,
        ("class_name",),
        related=(("the method", context.locate(found.signatures["infer"].position)),),
        help="declare inputs, or write def infer(self, inputs: dict); rename it if it is a helper",
    )


def uses_infer(context: RuleContext, found: ClassSource) -> bool | None:
    """Return whether requests with named tensors call the class's method ``infer``; None if it is unknown."""
    if "infer" not in found.hooks:
        return False if found.is_whole else None
    if context.values.get(("inputs",)):
        return True
    signature = found.signatures.get("infer")
    if signature is None:
        return None
    annotation = signature.arguments[0].annotation if signature.arguments else None
    return False if annotation is None else _is_mapping(annotation)


def _is_mapping(annotation: str) -> bool | None:
    """Return whether an annotation is a mapping; None for a name that is not known, such as an alias."""
    try:
        expression = ast.parse(annotation.strip("'\""), mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return None
    if isinstance(expression, ast.BinOp):  # a union
        return False
    if isinstance(expression, ast.Subscript):
        expression = expression.value
    name = expression.attr if isinstance(expression, ast.Attribute) else getattr(expression, "id", "")
    return True if name in _MAPPINGS else False if name in _OTHERS else None
