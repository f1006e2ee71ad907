"""The text of the new seldon.yaml: keys in the order of the schema, each value with a comment about its source."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seldon_spec.config.schema.lookup import field_schema
from seldon_spec.config.yaml.scalars import printable, render_scalar
from seldon_spec.errors import FieldPath, Position
from seldon_spec.migrate.candidates import LeftOut
from seldon_spec.migrate.resolve import Choice

WIDTH = 118


def render_spec(
    folder: Path,
    choices: Mapping[FieldPath, Choice],
    sources: Sequence[str],
    comments: Sequence[str],
    left_out: Sequence[LeftOut],
) -> str:
    """Render the file.

    Args:
        folder: the migrated folder; positions are relative to it.
        choices: the values, by path.
        sources: the files that were read, for the first line.
        comments: the lines after it.
        left_out: for the last comment.
    """
    tree: dict[str, Any] = {}
    for path, choice in choices.items():
        is_remote = (*path[:-1], "url") in choices  # only its entry has the type of a server
        if _is_default(path, choice.candidate.value) and not is_remote:
            continue
        section = tree
        for step in path[:-1]:
            section = section.setdefault(step, {})
        section[path[-1]] = choice
    head = [
        f"Written by seldon-spec migrate from {_join(sources)}; other keys have their defaults.",
        *comments,
    ]
    blocks = [_comment(head)]
    if tree:
        blocks.append("".join(_render(folder, tree, (), 0)))
    if left_out:
        lines = [f"- {format_position(folder, each.position)}: {each.what}: {each.why}" for each in left_out]
        blocks.append(_comment(["Not migrated unchanged:", *dict.fromkeys(lines)]))
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


def format_position(folder: Path, position: Position) -> str:
    """Return ``FILE:LINE``, with the file relative to the folder."""
    try:
        file = Path(position.file).relative_to(folder).as_posix()
    except ValueError:
        file = position.file
    return f"{file}:{position.line}"


def _render(folder: Path, tree: Mapping[str, Any], path: FieldPath, depth: int) -> Iterator[str]:
    """Yield the lines of the mapping at a path: known keys in the order of the schema, then the others."""
    properties = (field_schema(path) or {}).get("properties", {})
    keys = [*(key for key in properties if key in tree), *(key for key in tree if key not in properties)]
    for key in keys:
        value = tree[key]
        begin = f"{'  ' * depth}{render_scalar(key)}:"
        if isinstance(value, Choice):
            yield from _line(begin, value, folder, depth)
        else:
            yield f"{begin}\n"
            yield from _render(folder, value, (*path, key), depth + 1)


def _line(begin: str, choice: Choice, folder: Path, depth: int) -> Iterator[str]:
    """Yield the line of a key, with its comment after the value, or on the line before if it would be too long."""
    comment = f"# {printable(describe(choice, folder))}"
    line = f"{begin} {render_value(choice.candidate.value)}"
    if len(line) + len(comment) + 2 <= WIDTH:
        yield f"{line}  {comment}\n"
    else:
        yield f"{'  ' * depth}{comment}\n{line}\n"


def describe(choice: Choice, folder: Path) -> str:
    """Return the source of a value, and the sources of other values."""
    candidate = choice.candidate
    text = f"{format_position(folder, candidate.position)}: {candidate.label}"
    others = dict.fromkeys(f"{format_position(folder, other.position)} ({other.label})" for other in choice.others)
    return text + (f"; overrides {', '.join(others)}" if others else "")


def render_value(value: Any) -> str:
    """Return a value in the flow style of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{render_scalar(str(k))}: {render_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(render_value(item) for item in value) + "]"
    return render_scalar(value)
