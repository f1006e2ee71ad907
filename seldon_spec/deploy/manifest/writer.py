"""Write trees as YAML: block style, no anchors, comments at the end of lines or on a line of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from seldon_spec.config.yaml.scalars import printable, render_scalar
from seldon_spec.deploy.manifest.tree import Commented, Tree

_WIDTH = 118


def write_documents(documents: Sequence[Tree], head: Sequence[str], *, has_comments: bool) -> str:
    """Return the text of documents.

    Args:
        documents: mappings.
        head: the lines of the comment at the top.
        has_comments: whether to write the comments.
    """
    lines = [f"# {printable(line)}" for line in head] if has_comments else []
    for index, document in enumerate(documents):
        if index:
            lines.append("---")
        lines += _write(document, 0)
    join = _join_comment if has_comments else _drop_comment
    return "".join(f"{join(line)}\n" for line in lines)


_MARK = "\0"
"""Separates a line from its comment; no line contains it, because it is not printable."""


def _drop_comment(line: str) -> str:
    return line.partition(_MARK)[0]


def _join_comment(line: str) -> str:
    """Put the comment after the line, or before it if the line would be too long."""
    text, mark, comment = line.partition(_MARK)
    if not mark:
        return line
    whole = f"{text}  # {comment}"
    indent = len(text) - len(text.lstrip())
    return whole if len(whole) <= _WIDTH else f"{' ' * indent}# {comment}\n{text}"


def _write(tree: Tree, depth: int) -> Iterator[str]:
    """Yield the lines of a mapping or a list, each with its comment after the mark."""
    indent = "  " * depth
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _write_value(f"{indent}{render_scalar(key)}:", value, depth)
    else:
        for item in tree:
            yield from _write_item(indent, item, depth)


def _write_value(begin: str, value: Tree, depth: int) -> Iterator[str]:
    value, comment = _split(value)
    if (isinstance(value, Mapping) and value) or (isinstance(value, (list, tuple)) and value):
        yield f"{begin}{comment}"
        yield from _write(value, depth + 1)
    elif isinstance(value, str) and _is_block(value):
        yield f"{begin} |{'' if value.endswith(chr(10)) else '-'}{comment}"
        for line in value.removesuffix("\n").split("\n"):
            yield f"{'  ' * (depth + 1)}{line}" if line else ""
    else:
        yield f"{begin} {_render_leaf(value)}{comment}"


def _write_item(indent: str, item: Tree, depth: int) -> Iterator[str]:
    item, comment = _split(item)
    if not isinstance(item, (Mapping, list, tuple)) or not item:
        yield f"{indent}- {_render_leaf(item)}{comment}"
        return
    lines = list(_write(item, depth + 1))
    first = lines[0].removeprefix("  " * (depth + 1))
    yield f"{indent}- {first}" if _MARK in first else f"{indent}- {first}{comment}"
    yield from lines[1:]


def _split(tree: Tree) -> tuple[Tree, str]:
    if isinstance(tree, Commented):
        value, inner = _split(tree.value)
        return value, inner or f"{_MARK}{printable(tree.comment)}"
    return tree, ""


def _render_leaf(value: Tree) -> str:
    if isinstance(value, Mapping):
        return "{}"
    return "[]" if isinstance(value, (list, tuple)) else render_scalar(value)


def _is_block(text: str) -> bool:
    """Return whether a text is written as a literal block: several lines of printable characters."""
    lines = text.removesuffix("\n").split("\n")
    is_clear = all(line.isprintable() and line == line.rstrip() for line in lines)
    return len(lines) > 1 and is_clear and bool(lines[0]) and not lines[0].startswith(" ") and bool(lines[-1])
