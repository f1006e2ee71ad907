"""Report values of parameters and variables that YAML reads differently from how they look."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.schema.lookup import join, own_path
from seldon_spec.config.yaml.document import Node
from seldon_spec.errors import Diagnostic, FieldPath, Severity


def check_booleans(context: RuleContext) -> Iterator[Diagnostic]:
    """Report ``yes``, ``no``, ``on`` and ``off`` in fields of any type, where no type error occurs."""
    for path, node in _scalars(context):
        is_word = node.is_plain and isinstance(node.value, bool) and node.text.lower() not in ("true", "false")
        if not is_word or own_path(path)[:1] != ("parameters",) or _is_typed_boolean(context, path):
            continue
        yield Diagnostic(
            "yaml-boolean",
            f"{join(path)}: YAML reads {node.text} as {str(node.value).lower()}",
            context.document.origin(node.position),
            Severity.WARNING,
            path,
            help=f'write "{node.text}" in quotes, or {str(node.value).lower()}',
        )


def _scalars(context: RuleContext) -> Iterator[tuple[FieldPath, Node]]:
    """Yield the scalars of a file; those of an entry of a graph belong to the graph's file."""
    if context.document.first is None:
        yield from context.document.scalars()


_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+")
_NOT_EXPANDED = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*($|/)|.*\$(\{[A-Za-z_]\w*\}|\([A-Za-z_]\w*\))")
_VERSIONS = frozenset({"ver", "version", "release", "tag", "python"})


def check_texts(context: RuleContext) -> Iterator[Diagnostic]:
    """Report texts with variables that are not expanded, and numbers and nulls that are probably not meant."""
    for path, node in _scalars(context):
        if own_path(path)[:1] not in (("parameters",), ("environment",)) or path[-1] in ("from_env", "from_file"):
            continue
        value, origin = node.value, context.document.origin(node.position)
        if isinstance(value, str) and _NOT_EXPANDED.match(value):
            message = f"{join(path)}: {node.text} is not expanded"
            remedy = "write {from_env: NAME} for the value of a variable"
            yield Diagnostic("not-expanded", message, origin, Severity.WARNING, path, help=remedy)
            continue
        surprise = _find_surprise(path, node)
        if surprise is not None:
            message, remedy = surprise
            yield Diagnostic("yaml-surprise", f"{join(path)}: {message}", origin, Severity.WARNING, path, help=remedy)


def _find_surprise(path: FieldPath, node: Node) -> tuple[str, str] | None:
    """Return what YAML reads and how to write what was most likely meant; None if the value is unambiguous."""
    text, value = node.text, node.value
    if isinstance(value, str) and not node.is_plain and re.match(r"[A-Za-z]:[\a\b\t\n\v\f\r]", value):
        return "a backslash in double quotes begins an escape", "use single quotes, or double each backslash"
    if not node.is_plain or own_path(path)[0] != "parameters":
        return None
    is_version = path[-1].lower().rpartition("_")[2] in _VERSIONS
    if isinstance(value, float) and is_version and repr(value) != text:
        return f"YAML reads {text} as the number {value}", f'write it in quotes: "{text}"'
    if isinstance(value, str) and _FLOAT.fullmatch(value):
        return f"YAML 1.1 reads {text} as text", f"write {_with_point(text)}, or put it in quotes"
    return _NULL_WORDS.get(text)


_NULL_WORDS = {
    "None": ("YAML reads None as text", 'write null, or "None" in quotes'),
    "~": ("YAML reads ~ as null", 'write null, or "~" in quotes'),
}


def _with_point(text: str) -> str:
    """Return a number in the form that YAML 1.1 requires: with a point, and a sign in the exponent."""
    number, _, exponent = text.lower().partition("e")
    return f"{number if '.' in number else f'{number}.0'}e{exponent if exponent[0] in '+-' else f'+{exponent}'}"


def _is_typed_boolean(context: RuleContext, path: FieldPath) -> bool:
    """Return whether a value belongs to an entry of Seldon's list with type BOOL."""
    entry_type = context.document.find((*path[:-1], "type")) if path[-1] == "value" else None
    return entry_type is not None and entry_type[1].value == "BOOL"
