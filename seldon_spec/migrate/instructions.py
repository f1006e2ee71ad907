"""The parser of Dockerfiles: text to instructions with positions, without their meaning.

Source: Dockerfile reference, sections "Format", "Parser directives" and "Here-Documents".
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from seldon_spec.errors import Position

_DIRECTIVE = re.compile(r"#\s*(?P<name>[a-zA-Z][a-zA-Z0-9]*)\s*=\s*(?P<value>\S+)\s*")
_HEREDOC = re.compile(r"<<(?P<dash>-?)(?P<quote>[\"']?)(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)")
_WITH_HEREDOC = ("RUN", "COPY", "ADD")


@dataclass(slots=True)
class Instruction:
    """One instruction, its continued lines joined.

    Attributes:
        keyword: in capitals.
        text: what follows the keyword.
    """

    keyword: str
    text: str
    file: str
    starts: list[int] = field(default_factory=list)
    """Offset in ``text`` of each line; negative for the first, by the length of the keyword and space."""
    lines: list[tuple[int, str]] = field(default_factory=list)
    """Number and text of each line."""

    def at(self, offset: int = 0, width: int = 1) -> Position:
        """Return the position of a character of ``text``."""
        index = max(0, bisect_right(self.starts, offset) - 1)
        number, line = self.lines[index]
        column = max(0, min(offset - self.starts[index], max(0, len(line) - 1)))
        return Position(self.file, number, column + 1, max(1, min(width, len(line) - column)), line)

    def position(self) -> Position:
        """Return the position of the keyword."""
        number, line = self.lines[0]
        column = len(line) - len(line.lstrip())
        return Position(self.file, number, column + 1, len(self.keyword), line)


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """The instructions, and the escape character."""

    instructions: list[Instruction]
    escape: str


def parse_dockerfile(data: bytes, file: str) -> Dockerfile:
    """Split a Dockerfile into instructions; never fails."""
    lines = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").split("\n")
    escape = _read_escape(lines)
    instructions: list[Instruction] = []
    numbered = iter(enumerate(lines, start=1))
    for number, line in numbered:
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        instruction = _join(number, line, numbered, file, escape)
        if instruction.keyword in _WITH_HEREDOC:
            for match in _HEREDOC.finditer(instruction.text):
                _skip_heredoc(match["name"], numbered, is_tabbed=bool(match["dash"]))
        instructions.append(instruction)
    return Dockerfile(instructions, escape)


def _read_escape(lines: list[str]) -> str:
    """Return the escape character of the ``# escape=`` directive, which precedes all instructions."""
    for line in lines:
        match = _DIRECTIVE.fullmatch(line.strip())
        if not match:
            break
        if match["name"].lower() == "escape" and match["value"] in ("\\", "`"):
            return match["value"]
    return "\\"


def _join(number: int, line: str, numbered: Iterator[tuple[int, str]], file: str, escape: str) -> Instruction:
    keyword, *_ = line.split(maxsplit=1)
    before = line.index(keyword) + len(keyword)
    before += len(line[before:]) - len(line[before:].lstrip())
    instruction = Instruction(keyword.upper(), "", file, [-before], [(number, line)])
    rest, is_continued = _without_escape(line[before:], escape)
    if is_continued and keyword.endswith(escape):  # "ENV\" and its arguments below
        instruction.keyword = keyword.rstrip(escape).upper()
    parts, length = [rest], len(rest)
    while is_continued:
        following = next(numbered, None)
        if following is None:
            break
        number, line = following
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        rest, is_continued = _without_escape(line, escape)
        instruction.starts.append(length)
        instruction.lines.append((number, line))
        parts.append(rest)
        length += len(rest)
    instruction.text = "".join(parts).rstrip()
    return instruction


def _without_escape(line: str, escape: str) -> tuple[str, bool]:
    """Remove the escape at the end of a continued line; return the rest, and whether the line is continued."""
    stripped = line.rstrip(" \t")
    if stripped.endswith(escape):
        return stripped[: -len(escape)], True
    return line, False


def _skip_heredoc(name: str, numbered: Iterator[tuple[int, str]], *, is_tabbed: bool) -> None:
    for _, line in numbered:
        if (line.lstrip("\t") if is_tabbed else line) == name:
            return
