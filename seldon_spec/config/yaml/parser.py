"""Parse YAML text into nodes with positions.

Composes the nodes from the events of the parser one by one, without recursion, so that every limit (bytes, depth,
nodes, expanded aliases) applies before memory is allocated. Independent of the keys of a spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from seldon_spec.config.yaml.document import Document, Entry, Node, Scalar, shorten
from seldon_spec.config.yaml.problems import (
    MAX_DEPTH,
    UNPRINTABLE,
    control_character,
    limit_exceeded,
    quote,
    syntax_error,
    too_deep,
    undecodable,
)
from seldon_spec.errors import Diagnostic, Position

MAX_BYTES = 1024 * 1024
MAX_NODES = 20_000

# The C parser, if the wheel has it, emits the same events ten times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = {_TAG + name for name in ("str", "int", "float", "bool", "null")}
# Dates are read as text, as in YAML 1.2: a spec has no dates, and "2024-01-15" is a valid version.
_TEXT_TAGS = {_TAG + "str", _TAG + "timestamp", _TAG + "value"}
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+\Z")
_CLOCK = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?\Z")


def parse_document(data: bytes, file: str) -> Document:
    """Parse a YAML file.

    Args:
        data: the content of the file; UTF-8, with or without a byte order mark.
        file: the name of the file, for positions.

    Returns:
        A document with its diagnostics in ``problems``; ``root`` is None if the file cannot be parsed.
    """
    if len(data) > MAX_BYTES:
        document = Document(file, [])
        document.problems.append(
            limit_exceeded(
                document, document.start(), f"the file has {len(data):,} bytes", f"at most {MAX_BYTES:,} bytes"
            )
        )
        return document
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return undecodable(data, file, error)
    document = Document(file, text.splitlines() or [""])
    unprintable = UNPRINTABLE.search(text)
    if unprintable:
        document.problems.append(control_character(document, text, unprintable.start()))
        return document
    # str.splitlines splits at more separators than the line breaks of YAML.
    document.lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
    composer = _Composer(document)
    try:
        composer.compose(text)
    except yaml.YAMLError as error:
        document.problems.append(syntax_error(document, error))
        document.root = None
    except _Stop:
        document.root = None
    # After an exceeded limit, diagnostics of the part that was read are misleading.
    document.problems = [each for each in document.problems if each.code == "limit"] or document.problems
    return document


class _Stop(Exception):
    """A limit is exceeded, or parsing cannot continue."""


@dataclass(slots=True)
class _Open:
    """A collection whose end is not yet read."""

    node: Node
    anchor: str | None
    key: tuple[str, Position] | None = None
    """The last key, if its value is not yet read."""
    merges: list[Node] = field(default_factory=list)


class _Composer:
    """Composes the nodes of a document from the events of the parser."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.anchors: dict[str, Node] = {}
        self.stack: list[_Open] = []
        self.count = 0

    def compose(self, text: str) -> None:
        documents = 0
        events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.report(
                        "second-document",
                        self.at(event),
                        "a second document begins here",
                        help="keep one document in the file: delete this line and everything below",
                    )
                    return
            elif isinstance(event, yaml.AliasEvent):
                self.alias(event)
            elif isinstance(event, yaml.ScalarEvent):
                self.scalar(event)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self.open(event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self.close(event)

    def at(self, event: Any) -> Position:
        start, end = event.start_mark, event.end_mark
        line = self.document.lines[start.line] if start.line < len(self.document.lines) else ""
        stop = end.column if end.line == start.line else len(line.rstrip())
        return Position(self.document.file, start.line + 1, start.column + 1, max(1, stop - start.column), line)

    def report(self, code: str, position: Position, message: str, **parts: Any) -> None:
        self.document.problems.append(Diagnostic(code, message, self.document.origin(position), **parts))

    def spend(self, position: Position, nodes: int) -> None:
        self.count += nodes
        if self.count > MAX_NODES:
            self.document.problems.append(
                limit_exceeded(
                    self.document,
                    position,
                    "the file has too many values, counting aliases as expanded",
                    f"at most {MAX_NODES:,} values",
                )
            )
            raise _Stop

    def open(self, event: Any) -> None:
        position = self.at(event)
        self.spend(position, 1)
        if len(self.stack) >= MAX_DEPTH:
            self.document.problems.append(too_deep(self.document, position))
            raise _Stop
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        expected = _TAG + ("map" if is_mapping else "seq")
        if event.tag not in (None, "!", expected):
            self.bad_tag(position, event.tag)
        node = Node({} if is_mapping else [], position)
        if self.expects_key():
            self.report("key-not-text", position, "a key is a mapping or a list, not text")
        self.stack.append(_Open(node, event.anchor))
        if event.anchor:
            self.anchors[event.anchor] = node

    def close(self, event: Any) -> None:
        opened = self.stack.pop()
        node = opened.node
        if isinstance(node.value, dict):
            for merged in opened.merges:
                self.merge(node.value, merged)
        node.size = 1 + sum(child.size for child in _children(node))
        if node.value == [] or node.value == {}:
            end = self.at(event)
            if end.line == node.position.line:
                width = end.column + end.width - node.position.column
                node.position = Position(end.file, end.line, node.position.column, width, node.position.text)
        self.add(node, node.position)

    def alias(self, event: Any) -> None:
        position = self.at(event)
        node = self.anchors.get(event.anchor)
        if node is None:
            self.report("unknown-anchor", position, f'there is no anchor "&{event.anchor}" before this alias')
            node = Node({}, position)
        elif any(opened.node is node for opened in self.stack):
            self.report(
                "alias-cycle",
                position,
                f'"*{event.anchor}" is part of the value that it refers to: a cycle',
                help="write the value instead of the alias",
            )
            node = Node({}, position)
        self.spend(position, node.size)
        self.remember(node)
        self.add(node, position)

    def scalar(self, event: Any) -> None:
        position = self.at(event)
        self.spend(position, 1)
        is_plain = not event.style and event.implicit[0]
        tag = _resolve(event.value) if is_plain else event.tag
        if tag in (None, "!"):
            tag = _TAG + "str"
        end = event.end_mark
        node = Node(event.value, position, event.value, is_plain, last_line=end.line + (end.column > 0))
        if event.anchor:
            self.anchors[event.anchor] = node
        if self.expects_key():
            self.key(node, position, is_null=tag == _TAG + "null", is_merge=is_plain and tag == _TAG + "merge")
            return
        node.value = self.convert(tag, event.value, position)
        self.remember(node)
        self.add(node, position)

    def remember(self, node: Node) -> None:
        steps = (
            str(len(opened.node.value)) if isinstance(opened.node.value, list) else opened.key[0] if opened.key else ""
            for opened in self.stack
        )
        holder = self.stack[-1].node if self.stack else None
        self.document.seen.append((tuple(steps), node, holder))

    def convert(self, tag: str, text: str, position: Position) -> Scalar:
        if tag in _TEXT_TAGS or tag == _TAG + "merge":
            return text
        if tag not in _SCALAR_TAGS:
            self.bad_tag(position, tag)
            return None
        if _LEADING_ZERO.match(text) or _CLOCK.match(text):
            self.report(
                "yaml-surprise",
                position,
                f"YAML 1.1 reads {text} as a different number",
                found=f"{text}, which YAML reads as {_number(tag, text)}",
                help=f'write it in quotes, "{text}", or as a plain decimal number',
            )
        try:
            value: Scalar = _number(tag, text)
        except (ValueError, KeyError, OverflowError):
            self.report("yaml-syntax", position, f"{shorten(text)} cannot be read as {tag.removeprefix(_TAG)}")
            return None
        return value

    def bad_tag(self, position: Position, tag: str) -> None:
        name = "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
        self.report(
            "yaml-tag",
            position,
            f"the tag {name} is not allowed",
            allowed="plain values, and the tags !!str !!int !!float !!bool !!null !!map !!seq",
            help="remove the tag: a spec is data and creates no objects",
        )

    def expects_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].node.value, dict) and self.stack[-1].key is None

    def key(self, node: Node, position: Position, *, is_null: bool, is_merge: bool) -> None:
        opened = self.stack[-1]
        name = node.text
        if is_null:
            self.report("key-not-text", position, "a key is empty", help="write the key before the colon")
        opened.key = (name, position)
        if is_merge:
            opened.key = ("<<", position)
            return
        assert isinstance(opened.node.value, dict)
        first = opened.node.value.get(name)
        if first is not None:
            self.report(
                "duplicate-key",
                position,
                f"{quote(name)} is given twice",
                related=(("first given", first.key),),
                help="keep one of the two",
            )

    def add(self, node: Node, position: Position) -> None:
        """Add a complete value to the collection that is open, or make it the root."""
        if not self.stack:
            self.document.root = node
            return
        opened = self.stack[-1]
        if isinstance(opened.node.value, list):
            opened.node.value.append(node)
            return
        assert isinstance(opened.node.value, dict)
        if opened.key is None:  # a collection or an alias as a key
            if not (isinstance(node.value, (dict, list))):
                self.report("key-not-text", position, "a key is an alias, not text")
            opened.key = (f"<{position.line}:{position.column}>", position)
            return
        name, key_position = opened.key
        opened.key = None
        if name == "<<" and isinstance(node.value, (dict, list)):
            opened.merges.append(node)
        elif name == "<<":
            self.report("yaml-syntax", position, '"<<" takes a mapping, or a list of mappings, to merge')
        else:
            opened.node.value.setdefault(name, Entry(key_position, node, position))

    def merge(self, into: dict[str, Entry], merged: Node) -> None:
        """Add the entries of a merge key's mappings; keys of the mapping itself take precedence."""
        sources = merged.value if isinstance(merged.value, list) else [merged]
        assert isinstance(sources, list)
        for source in sources:
            if not isinstance(source.value, dict):
                self.report("yaml-syntax", source.position, '"<<" takes a mapping, or a list of mappings, to merge')
                continue
            for key, entry in source.value.items():
                into.setdefault(key, entry)


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node.value, dict):
        for entry in node.value.values():
            yield entry.node
    elif isinstance(node.value, list):
        yield from node.value


def _resolve(text: str) -> str:
    """Return the tag that YAML 1.1 assigns to a scalar without quotes."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    for tag, pattern in [*resolvers.get(text[:1], []), *resolvers.get(None, [])]:
        if pattern.match(text):
            return str(tag)
    return _TAG + "str"


def _number(tag: str, text: str) -> Any:
    return _CONSTRUCTOR.construct_object(yaml.ScalarNode(tag, text))
