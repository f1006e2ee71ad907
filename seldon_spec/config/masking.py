"""Mask secrets in values, source lines and diagnostics."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from seldon_spec.config.model import REFERENCE_KEYS
from seldon_spec.config.schema.lookup import is_sensitive
from seldon_spec.config.secret_names import (
    HIDDEN,
    find_assignment,
    gives_secret,
    is_secret_name,
    is_secret_text,
    mask_code,
    mask_urls,
    mask_urls_in_place,
)
from seldon_spec.config.yaml.document import Document, Node, shorten
from seldon_spec.errors import Diagnostic, FieldPath, Position

_QUOTES_VALUE = {"unknown-anchor": "there is no anchor before this alias", "yaml-tag": "this tag is not allowed"}
"""Codes whose message quotes the value, which may be a password such as ``!x`` or ``*x``, with another message."""

_COMMENT = re.compile(r"(\s#\s*)(.+)")
_ENTRY_NAME = re.compile(r"\bname[\"']?\s*:\s*[\"']?([A-Za-z0-9_.\-]+)")


def redact(path: FieldPath, value: Any, known: Collection[str] = (), *, is_secret: bool = False) -> Any:
    """Return a JSON value with secrets hidden; references are kept.

    Args:
        path: the path of the value.
        value: the value.
        known: secrets to hide under any name, since an alias can repeat a value.
        is_secret: whether the value belongs to a secret.
    """
    is_secret = is_secret or is_sensitive(path)
    if isinstance(value, (Mapping, list, tuple)):
        items = [(key, redact(at, i, known, is_secret=s)) for key, at, i, s in _items(path, value, is_secret=is_secret)]
        return dict(items) if isinstance(value, Mapping) else [item for _, item in items]
    if isinstance(value, str) and (value in known or gives_secret(value)):
        return HIDDEN
    if is_secret and _may_be_secret(value):
        return HIDDEN
    return mask_urls(value) if isinstance(value, str) else value


def find_literals(path: FieldPath, value: Any, *, is_secret: bool = False) -> Iterator[tuple[FieldPath, Any]]:
    """Yield the literal secrets at and below ``path``: the values that :func:`redact` hides."""
    is_secret = is_secret or is_sensitive(path)
    if isinstance(value, (Mapping, list, tuple)):
        for _, at, item, is_hidden in _items(path, value, is_secret=is_secret):
            yield from find_literals(at, item, is_secret=is_hidden)
    elif (isinstance(value, str) and is_secret_text(value)) or (is_secret and _may_be_secret(value)):
        yield path, value


def _may_be_secret(value: object) -> bool:
    return value is not None and value != "" and not isinstance(value, bool)


def _items(path: FieldPath, value: Any, *, is_secret: bool) -> Iterator[tuple[Any, FieldPath, Any, bool]]:
    """Yield key, path, item and whether the item is a secret; for ``{name, value}``, the name decides."""
    is_reference = isinstance(value, Mapping) and len(value) == 1 and REFERENCE_KEYS.issuperset(value)
    name = value.get("name") if isinstance(value, Mapping) else None
    is_entry = isinstance(name, str) and is_secret_name(name)
    for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
        at = (*path, str(key)) if not is_reference else ()
        yield key, at, item, not is_reference and (is_secret or (is_entry and key == "value"))


def hide_secrets(document: Document) -> None:
    """Mask the secrets in the lines of a document and in its diagnostics."""
    for line, text in enumerate(document.lines, 1):
        masked = mask_urls_in_place(text)
        if masked != text:
            document.masked_lines[line] = masked
    for node in _find_secret_nodes(document):
        document.secrets[node.position.line, node.position.column] = node.text
        for line in range(node.position.line, min(node.last_line, len(document.lines)) + 1):
            text = document.masked_lines.get(line, document.lines[line - 1])
            start = node.position.column - 1 if line == node.position.line else len(text) - len(text.lstrip())
            stop = start + node.position.width if line == node.position.line else len(text.rstrip())
            rest = _COMMENT.sub(lambda match: match[1] + "*" * len(match[2]), text[stop:])
            document.masked_lines[line] = text[:start] + "*" * (stop - start) + rest
    for index, problem in enumerate(document.problems):
        position = problem.origin.position
        if position is not None and (document.root is None or problem.code == "second-document"):
            document.masked_lines[position.line] = _mask_unparsed(document.lines, position)
        elif position is not None and problem.code in _QUOTES_VALUE:
            masked = _mask_unparsed(document.lines, position)
            if masked[position.column : position.column + 1] == "*":
                document.masked_lines[position.line] = masked
                help_text = "put a value that begins with * or ! in quotes"
                document.problems[index] = replace(problem, message=_QUOTES_VALUE[problem.code], help=help_text)
    document.problems[:] = [
        replace(problem, origin=document.origin(problem.origin.position)) if problem.origin.position else problem
        for problem in document.problems
    ]


def _find_secret_nodes(document: Document) -> Iterator[Node]:
    """Yield every scalar that is a secret, including ignored values, e.g. of a duplicate key."""
    for path, node, holder in document.seen:
        name = holder.value.get("name") if holder is not None and isinstance(holder.value, dict) else None
        is_value = name is not None and path[-1:] == ("value",) and is_secret_name(name.node.text)
        yield from _find_in(node, path, is_secret=is_value)


def _find_in(node: Node, path: FieldPath, *, is_secret: bool) -> Iterator[Node]:
    if isinstance(node.value, (dict, list)):  # of an alias
        is_secret = is_secret or is_sensitive(path)
        pairs = (
            [(key, entry.node) for key, entry in node.value.items()]
            if isinstance(node.value, dict)
            else [(str(index), item) for index, item in enumerate(node.value)]
        )
        for key, item in pairs:
            yield from _find_in(item, (*path, key), is_secret=is_secret)
    elif REFERENCE_KEYS.isdisjoint(path[-1:]):
        is_secret = is_secret or is_sensitive(path) or is_secret_text(node.text)
        is_null = node.is_plain and node.text.lower() in ("", "~", "null")
        if is_secret and not is_null and not isinstance(node.value, bool):
            yield node


def _mask_unparsed(lines: list[str], position: Position) -> str:
    """Mask a line of a file that is not YAML, completely if the lines above show that it is part of a secret."""
    text = position.text
    # An entry of Seldon's list has its name and its value in different lines.
    entries = (match for line in lines for match in _ENTRY_NAME.finditer(line))
    more = frozenset({"value"}) if any(is_secret_name(match[1]) for match in entries) else frozenset[str]()
    start = find_assignment(text, more)
    indent, is_next = _indent(text), ":" not in text
    for above in reversed(lines[: position.line - 1]):
        if (is_next or _indent(above) < indent) and find_assignment(above, more) is not None:
            start = len(text) - len(text.lstrip())
        if above.strip():
            indent, is_next = min(indent, _indent(above)), False
    if start is None:
        return mask_urls_in_place(text)
    return text[:start] + "*" * len(text[start:].rstrip())


def _indent(line: str) -> int:
    """Return the indentation of a line; the items of a list may have the same indentation as its key."""
    text = line.lstrip()
    return len(line) - len(text) + text.startswith("-")


def mask_finding(finding: Diagnostic, document: Document) -> Diagnostic:
    """Return a diagnostic with secrets masked."""
    position = finding.origin.position
    secret = None
    if position is not None and position.file == document.file:
        secret = document.secrets.get((position.line, position.column))
    elif position is not None and position.file.endswith(".py"):
        position = replace(position, text=mask_code(position.text))
    elif position is not None:
        position = replace(position, text=mask_urls_in_place(position.text))

    message, found, remedy = finding.message, finding.found, finding.help
    if secret:
        message = message.replace(secret, HIDDEN).replace(shorten(secret), HIDDEN)
        found = found and HIDDEN
        remedy = None if remedy and secret in remedy else remedy
    return replace(
        finding,
        origin=replace(finding.origin, position=position),
        message=mask_urls(message),
        found=found and mask_urls(found),
        help=remedy and mask_urls(remedy),
        notes=tuple(mask_urls(note) for note in finding.notes),
    )
