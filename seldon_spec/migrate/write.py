"""The new file's text: keys in the order of the schema, each value with a comment that says where it comes from."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seldon_spec.config.schema.schema import field_schema, is_section, load_schema
from seldon_spec.config.yaml.source import parse_document
from seldon_spec.errors import FieldPath, Position
from seldon_spec.migrate.candidates import LeftOut
from seldon_spec.migrate.resolve import Choice

WIDTH = 118
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")


def render_spec(
    folder: Path,
    choices: Mapping[FieldPath, Choice],
    sources: Sequence[str],
    comments: Sequence[str],
    left_out: Sequence[LeftOut],
) -> str:
    """Render the file.

    Args:
        folder: that is migrated; places are told relative to it.
        choices: the values, by field.
        sources: the files that were read, for the first line.
        comments: lines that stand below it.
        left_out: what the last comment tells.
    """
    tree: dict[str, Any] = {}
    for path, choice in choices.items():
        if _is_default(path, choice.claim.value):
            continue
        here = tree
        for step in path[:-1]:
            here = here.setdefault(step, {})
        here[path[-1]] = choice
    head = [
        f"Written by seldon-spec migrate from {_join(sources)}; keys that are not here have their defaults.",
        *comments,
    ]
    blocks = [_comment(head)]
    if tree:
        blocks.append("".join(_render(folder, tree, load_schema(), 0)))
    if left_out:
        lines = [f"- {show_place(folder, each.position)}: {each.what}: {each.why}" for each in left_out]
        blocks.append(_comment(["Not taken over as it was:", *dict.fromkeys(lines)]))
    return "\n".join(blocks)


def _join(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _is_default(path: FieldPath, value: Any) -> bool:
    schema = field_schema(path) or {}
    return "default" in schema and schema["default"] == value and type(schema["default"]) is type(value)


def _comment(lines: Sequence[str]) -> str:
    wrapped = []
    for line in lines:
        indent = "  " if line.startswith("- ") else ""
        wrapped += textwrap.wrap(
            printable(line), WIDTH - 2, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    return "".join(f"# {line}\n" for line in wrapped)


def printable(text: str) -> str:
    """Text on one line, with nothing in it that does not print."""
    return "".join(c if c.isprintable() else " " for c in text)


def show_place(folder: Path, position: Position) -> str:
    """``FILE:LINE``, the file's name relative to the folder."""
    try:
        file = Path(position.file).relative_to(folder).as_posix()
    except ValueError:
        file = position.file
    return f"{file}:{position.line}"


def _render(folder: Path, tree: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> Iterator[str]:
    """A mapping's lines: known keys in the schema's order, then the others in their own."""
    properties = schema.get("properties", {})
    keys = [*(key for key in properties if key in tree), *(key for key in tree if key not in properties)]
    for key in keys:
        value = tree[key]
        begin = f"{'  ' * depth}{render_scalar(key)}:"
        if isinstance(value, Choice):
            yield from _line(begin, value, folder, depth)
        else:
            yield f"{begin}\n"
            child = properties.get(key, {})
            yield from _render(folder, value, child if is_section(child) else {}, depth + 1)


def _line(begin: str, choice: Choice, folder: Path, depth: int) -> Iterator[str]:
    """One key with its value, and the comment behind it, or above it where the line would be too long."""
    comment = f"# {printable(describe(choice, folder))}"
    line = f"{begin} {render_value(choice.claim.value)}"
    if len(line) + len(comment) + 2 <= WIDTH:
        yield f"{line}  {comment}\n"
    else:
        yield f"{'  ' * depth}{comment}\n{line}\n"


def describe(choice: Choice, folder: Path) -> str:
    """Where a value comes from, and where another one stood."""
    claim = choice.claim
    text = f"{show_place(folder, claim.position)}: {claim.label}"
    others = dict.fromkeys(f"{show_place(folder, other.position)} ({other.label})" for other in choice.others)
    return text + (f"; not as {', '.join(others)}" if others else "")


def render_value(value: Any) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{render_scalar(str(k))}: {render_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(render_value(item) for item in value) + "]"
    return render_scalar(value)


def render_scalar(value: object) -> str:
    """A scalar that every YAML reader takes for what it is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _render_float(value)
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) and _reads_as_itself(text) else _quote(text)


def _render_float(value: float) -> str:
    """With a point in it, without which YAML 1.1 takes an exponent for text."""
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    mantissa, exponent, power = repr(value).partition("e")
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}{exponent}{power}"


def _reads_as_itself(text: str) -> bool:
    root = parse_document(text.encode(), "").root
    return root is not None and root.value == text


def _quote(text: str) -> str:
    """Double quotes; whatever does not print stands as an escape."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in quoted)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
