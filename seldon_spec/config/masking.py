"""Hides secrets in what is shown: values, source lines and findings. ``schema.is_sensitive`` says what is one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from seldon_spec.config.schema.schema import is_sensitive
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
from seldon_spec.config.yaml.source import Document, Node, shorten
from seldon_spec.errors import Diagnostic, FieldPath, Position

_REFERENCE = frozenset({"from_env", "from_file"})
_SHOWS_VALUE = {"unknown-anchor": "there is no anchor before this alias", "yaml-tag": "this tag is not allowed"}
"""Problems whose message quotes the value, which may be a password such as ``!x`` or ``*x``: what they say instead."""

_COMMENT = re.compile(r"(\s#\s*)(.+)")
_ENTRY_NAME = re.compile(r"\bname[\"']?\s*:\s*[\"']?([A-Za-z0-9_.\-]+)")


def redact(path: FieldPath, value: Any, known: Collection[str] = (), *, is_secret: bool = False) -> Any:
    """A JSON value as it may be shown: a reference by its name, a secret that is written out not at all.

    Args:
        known: secrets that are hidden under any name, for an anchor may give one a second name.
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
    """The secrets that are written out at and below ``path``: exactly what :func:`redact` hides."""
    is_secret = is_secret or is_sensitive(path)
    if isinstance(value, (Mapping, list, tuple)):
        for _, at, item, is_hidden in _items(path, value, is_secret=is_secret):
            yield from find_literals(at, item, is_secret=is_hidden)
    elif (isinstance(value, str) and is_secret_text(value)) or (is_secret and _may_be_secret(value)):
        yield path, value


def _may_be_secret(value: object) -> bool:
    return value is not None and value != "" and not isinstance(value, bool)


def _items(path: FieldPath, value: Any, *, is_secret: bool) -> Iterator[tuple[Any, FieldPath, Any, bool]]:
    """Key, path, item, and whether the item is a secret; the ``value`` of an entry is judged by the entry's name."""
    is_reference = isinstance(value, Mapping) and len(value) == 1 and set(value) <= _REFERENCE
    name = value.get("name") if isinstance(value, Mapping) else None
    is_entry = isinstance(name, str) and is_secret_name(name)
    for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
        at = (*path, str(key)) if not is_reference else ()
        yield key, at, item, not is_reference and (is_secret or (is_entry and key == "value"))


def hide_secrets(document: Document) -> None:
    """Mask the secrets in every source line that a finding or an origin of this file shows."""
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
        elif position is not None and problem.code in _SHOWS_VALUE:
            masked = _mask_unparsed(document.lines, position)
            if masked[position.column : position.column + 1] == "*":
                document.masked_lines[position.line] = masked
                help_text = "write a value that begins with * or ! in quotes"
                document.problems[index] = replace(problem, message=_SHOWS_VALUE[problem.code], help=help_text)
    document.problems[:] = [
        replace(problem, origin=document.origin(problem.origin.position)) if problem.origin.position else problem
        for problem in document.problems
    ]


def _find_secret_nodes(document: Document) -> Iterator[Node]:
    """Every scalar of the file that is a secret, also where it does not count, e.g. under a key that is given twice."""
    for path, node, holder in document.seen:
        name = holder.value.get("name") if holder is not None and isinstance(holder.value, dict) else None
        is_value = name is not None and path[-1:] == ("value",) and is_secret_name(name.node.text)
        yield from _find_in(node, path, is_secret=is_value)


def _find_in(node: Node, path: FieldPath, *, is_secret: bool) -> Iterator[Node]:
    if isinstance(node.value, (dict, list)):  # what an alias stands for
        is_secret = is_secret or is_sensitive(path)
        pairs = (
            [(key, entry.node) for key, entry in node.value.items()]
            if isinstance(node.value, dict)
            else [(str(index), item) for index, item in enumerate(node.value)]
        )
        for key, item in pairs:
            yield from _find_in(item, (*path, key), is_secret=is_secret)
    elif path[-1:] not in (("from_env",), ("from_file",)):
        is_secret = is_secret or is_sensitive(path) or is_secret_text(node.text)
        is_null = node.is_plain and node.text.lower() in ("", "~", "null")
        if is_secret and not is_null and not isinstance(node.value, bool):
            yield node


def _mask_unparsed(lines: list[str], position: Position) -> str:
    """A line of a file that is not YAML: masked whole where the lines above it say that it is part of a secret."""
    text = position.text
    # An entry of Seldon's list has the name of the secret in another line than its value.
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
    """A line's indentation; an item of a list belongs to a key that stands as far left."""
    text = line.lstrip()
    return len(line) - len(text) + text.startswith("-")


def mask_finding(finding: Diagnostic, document: Document) -> Diagnostic:
    """A finding that shows no secret, wherever it was made."""
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
