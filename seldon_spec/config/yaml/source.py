"""YAML text to values that keep their place.

Composes nodes from the parser's events, one by one and without recursion, so that every bound (bytes, depth, nodes,
alias expansion) holds before memory is spent. Knows the YAML language, and nothing of what the keys mean.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import yaml

from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Position, is_index

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 50
MAX_NODES = 20_000

Scalar: TypeAlias = bool | int | float | str | None

# The C parser where the wheel has it: the same events, ten times as quick.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = {_TAG + name for name in ("str", "int", "float", "bool", "null")}
# Dates stay text, as in YAML 1.2: nothing in a spec is a date, and "2024-01-15" is a fine version.
_TEXT_TAGS = {_TAG + "str", _TAG + "timestamp", _TAG + "value"}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+\Z")
_CLOCK = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?\Z")


@dataclass(slots=True)
class Node:
    """A value and its place. ``value`` is a scalar, a list of nodes, or a dict of entries."""

    value: Scalar | list[Node] | dict[str, Entry]
    position: Position
    text: str = ""
    """A scalar as it is written, without quotes; empty for collections."""
    is_plain: bool = False
    """Whether a scalar was written without quotes, so that YAML chose its type."""
    size: int = 1
    """Nodes of the whole value with every alias written out."""
    last_line: int = 0
    """The last line that a scalar is written in."""

    def to_json(self) -> Any:
        """The value alone, as ``json.loads`` would have it."""
        if isinstance(self.value, dict):
            return {key: entry.node.to_json() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [item.to_json() for item in self.value]
        return self.value


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping with its value; the places are the entry's own, since aliases share nodes."""

    key: Position
    node: Node
    at: Position
    """Where the value is written: an alias's own place, not its anchor's."""


@dataclass(slots=True)
class Document:
    """One parsed file."""

    file: str
    lines: list[str]
    root: Node | None = None
    problems: list[Diagnostic] = field(default_factory=list)
    seen: list[tuple[FieldPath, Node, Node | None]] = field(default_factory=list)
    """Every scalar and alias that is written, with its path and its mapping; also one whose value does not count."""
    masked_lines: dict[int, str] = field(default_factory=dict)
    """Lines as they may be shown, where they hold secrets."""
    secrets: dict[tuple[int, int], str] = field(default_factory=dict)
    """The text of each scalar that is a secret, by its line and column."""

    def start(self) -> Position:
        """The file's first character: where a missing key is told."""
        return Position(self.file, 1, 1, 1, self.lines[0] if self.lines else "")

    def find(self, path: FieldPath) -> tuple[Position, Node] | None:
        """The key's place and the node at ``path``; of a list's item, the item's own place twice."""
        if self.root is None:
            return None
        key, node = self.start(), self.root
        for step in path:
            if isinstance(node.value, dict) and step in node.value:
                entry = node.value[step]
                key, node = entry.key, entry.node
            elif isinstance(node.value, list) and is_index(step) and int(step) < len(node.value):
                node = node.value[int(step)]
                key = node.position
            else:
                return None
        return key, node

    def key_position(self, path: FieldPath) -> Position:
        """Where the key at ``path`` is written, else the nearest key above it."""
        while path:
            found = self.find(path)
            if found:
                return found[0]
            path = path[:-1]
        return self.start()

    def value_position(self, path: FieldPath) -> Position:
        """Where the value at ``path`` is written; of an empty value, its key's place."""
        found = self.find(path)
        if not found:
            return self.key_position(path)
        key, node = found
        is_empty = node.value is None and not node.text
        if is_empty or isinstance(node.value, dict):
            return key
        holder = self.find(path[:-1]) if path else None
        mapping = holder[1].value if holder else None
        return mapping[path[-1]].at if isinstance(mapping, dict) else node.position

    def written(self, path: FieldPath) -> str | None:
        """A scalar as the file writes it, without quotes."""
        found = self.find(path)
        return found[1].text if found else None

    def origin(self, position: Position) -> Origin:
        """The origin of a value that this file gives at ``position``."""
        masked = self.masked_lines.get(position.line)
        return Origin(OriginKind.FILE, self.file, position if masked is None else replace(position, text=masked))

    def scalars(self) -> Iterator[tuple[FieldPath, Node]]:
        """Every scalar with its path, in file order."""
        stack: list[tuple[FieldPath, Node]] = [((), self.root)] if self.root else []
        while stack:
            path, node = stack.pop()
            if isinstance(node.value, dict):
                stack.extend(((*path, key), entry.node) for key, entry in reversed(node.value.items()))
            elif isinstance(node.value, list):
                stack.extend(((*path, str(i)), item) for i, item in reversed(list(enumerate(node.value))))
            else:
                yield path, node


def parse_document(data: bytes, file: str) -> Document:
    """Parse a YAML file's bytes.

    Args:
        data: the file's content; UTF-8, with or without a byte order mark.
        file: the name to tell in positions.

    Returns:
        A document whose ``problems`` hold every finding; ``root`` is None where nothing could be read.
    """
    if len(data) > MAX_BYTES:
        document = Document(file, [])
        document.problems.append(
            _limit(document, document.start(), f"the file has {len(data):,} bytes", f"at most {MAX_BYTES:,} bytes")
        )
        return document
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _undecodable(data, file, error)
    document = Document(file, text.splitlines() or [""])
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        document.problems.append(_control_character(document, text, unprintable.start()))
        return document
    # A line may also end at the separators that only str.splitlines knows; YAML's own breaks count here.
    document.lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
    composer = _Composer(document)
    try:
        composer.compose(text)
    except yaml.YAMLError as error:
        document.problems.append(_syntax(document, error))
        document.root = None
    except _Stop:
        document.root = None
    # The diagnostics of a partly read file are misleading next to a limit.
    document.problems = [each for each in document.problems if each.code == "limit"] or document.problems
    return document


class _Stop(Exception):
    """A bound is passed: what follows is not read."""


@dataclass(slots=True)
class _Open:
    """A collection that is being filled."""

    node: Node
    anchor: str | None
    key: tuple[str, Position] | None = None
    """The key that waits for its value."""
    merges: list[Node] = field(default_factory=list)


class _Composer:
    """Builds one document's nodes from the parser's events."""

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
                        help="keep one document in the file: delete this line and what follows",
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
                _limit(
                    self.document,
                    position,
                    "the file holds too many values, aliases counted where they stand",
                    f"at most {MAX_NODES:,} values",
                )
            )
            raise _Stop

    def open(self, event: Any) -> None:
        position = self.at(event)
        self.spend(position, 1)
        if len(self.stack) >= MAX_DEPTH:
            self.document.problems.append(_too_deep(self.document, position))
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
                f'"*{event.anchor}" stands inside the value that it names: a cycle',
                help="write the value out instead of the alias",
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
                f"YAML 1.1 reads {text} as another number than it looks",
                found=f"{text}, which stands for {_number(tag, text)}",
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
            help="a spec is data: no tag can make it run or build anything",
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
                f"{_quote(name)} is given twice",
                related=(("first given", first.key),),
                help="keep one of the two",
            )

    def add(self, node: Node, position: Position) -> None:
        """Put a finished value where it belongs: the root, a list, or under the key that waits."""
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
        name, place = opened.key
        opened.key = None
        if name == "<<" and isinstance(node.value, (dict, list)):
            opened.merges.append(node)
        elif name == "<<":
            self.report("yaml-syntax", position, '"<<" takes a mapping, or a list of mappings, to merge')
        else:
            opened.node.value.setdefault(name, Entry(place, node, position))

    def merge(self, into: dict[str, Entry], merged: Node) -> None:
        """Lay a merge key's mappings under the keys that are written out."""
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
    """The tag that YAML 1.1 gives a scalar without quotes."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    for tag, pattern in [*resolvers.get(text[:1], []), *resolvers.get(None, [])]:
        if pattern.match(text):
            return str(tag)
    return _TAG + "str"


def _number(tag: str, text: str) -> Any:
    return _CONSTRUCTOR.construct_object(yaml.ScalarNode(tag, text))


def _quote(text: str) -> str:
    return f'"{shorten(text)}"'


def shorten(text: str, limit: int = 60) -> str:
    """A text as messages show it."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _limit(document: Document, position: Position, message: str, allowed: str) -> Diagnostic:
    return Diagnostic("limit", message, document.origin(position), allowed=allowed)


def _too_deep(document: Document, position: Position) -> Diagnostic:
    return _limit(document, position, "the values are nested too deeply", f"at most {MAX_DEPTH} levels")


def _undecodable(data: bytes, file: str, error: UnicodeDecodeError) -> Document:
    before = data[: error.start]
    line = before.count(b"\n") + 1
    text = before.rsplit(b"\n", 1)[-1].decode("utf-8", "replace").lstrip("\ufeff")
    document = Document(file, [text])
    position = Position(file, line, len(text) + 1, 1, text)
    document.problems.append(
        Diagnostic(
            "encoding",
            "the file is not UTF-8",
            document.origin(position),
            found=f"the byte 0x{data[error.start]:02X}",
            help="save the file as UTF-8",
        )
    )
    return document


def _control_character(document: Document, text: str, index: int) -> Diagnostic:
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text[:index])
    whole = re.split("[\n\r\x85\u2028\u2029]", text[index:], maxsplit=1)[0]
    line = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", lines[-1] + whole)
    position = Position(document.file, len(lines), len(lines[-1]) + 1, 1, line)
    name = unicodedata.name(text[index], "")
    return Diagnostic(
        "control-character",
        "a character that YAML does not allow",
        document.origin(position),
        found=f"U+{ord(text[index]):04X}" + (f" ({name.lower()})" if name else ""),
        help='delete it; in text in double quotes it can be written as an escape, e.g. "\\0"',
    )


def _syntax(document: Document, error: yaml.YAMLError) -> Diagnostic:
    if not isinstance(error, yaml.MarkedYAMLError):
        return Diagnostic("yaml-syntax", f"not YAML: {error}", document.origin(document.start()))
    mark = error.problem_mark or error.context_mark
    line_index = min(mark.line, len(document.lines) - 1) if mark else 0
    line = document.lines[line_index]
    # The end of the stream lies behind the last line.
    column = 0 if mark is None else len(line) if mark.line > line_index else min(mark.column, len(line))
    position = Position(document.file, line_index + 1, column + 1, 1, line)
    if "nesting depth" in (error.problem or ""):
        # libyaml 0.2.6 and newer allow 1000 levels, and read ahead of the events that MAX_DEPTH counts.
        return _too_deep(document, position)
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        tab = indent.index("\t")
        position = Position(document.file, line_index + 1, tab + 1, len(indent) - tab, line)
        return Diagnostic(
            "yaml-tab",
            "a tab indents this line",
            document.origin(position),
            help="YAML indents with spaces: replace the tab",
        )
    related: tuple[tuple[str, Position], ...] = ()
    context = error.context_mark
    is_open = "quoted scalar" in (error.context or "") and "unexpected" in (error.problem or "")
    if context is not None and is_open and context.line < len(document.lines):
        text = document.lines[context.line]
        position = Position(document.file, context.line + 1, context.column + 1, 1, text)
        return Diagnostic("yaml-syntax", "not YAML: a quotation mark is not closed", document.origin(position))
    if context is not None and context.line < len(document.lines) and context.line != line_index:
        place = Position(document.file, context.line + 1, context.column + 1, 1, document.lines[context.line])
        related = ((error.context or "within", place),)
    if "<document start>" in (error.problem or ""):
        return Diagnostic(
            "second-document",
            "the document has ended, and another begins here",
            document.origin(position),
            help="keep one document in the file: delete the line of dots above, or what follows it",
        )
    return Diagnostic(
        "yaml-syntax",
        f"not YAML: {error.problem or error}",
        document.origin(position),
        related=related,
        help=_syntax_help(error.problem or "", line),
    )


def _syntax_help(problem: str, line: str) -> str | None:
    if "mapping values are not allowed" in problem:
        if line.count(": ") > 1:
            return 'text that holds ": " is written in quotes'
        return "this line is indented too deeply, or the line above already gives its key a value"
    if "unknown escape" in problem:
        return "in double quotes a backslash begins an escape: double it, or use single quotes"
    if "cannot start any token" in problem:
        return "text that begins with one of @ ` % is written in quotes"
    if "did not find expected ',' or" in problem or "expected ',' or" in problem:
        return "a bracket or brace is not closed, or a comma is missing before this place"
    if "did not find expected key" in problem or "<block end>" in problem:
        return "the key is missing, or the indentation of this line fits no line above it"
    return None
