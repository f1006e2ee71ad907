"""How a value is written in a Dockerfile: one function for each kind of instruction.

Knows no spec. A Dockerfile has no escape for a line break, so every function here refuses one.

Source: Dockerfile reference, sections "Environment replacement", "COPY" and "Shell and exec form".
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

_LINE_BREAK = re.compile(r"[\r\n\x00]")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+@%~^-]+")
_BACKSLASHES_BEFORE_QUOTE = re.compile(r'(\\+)(?="|$)')


def _refuse_line_break(value: str, what: str) -> None:
    if _LINE_BREAK.search(value):
        raise ValueError(f"{what}: a Dockerfile cannot write a line break: {value!r}")


def quote_value(value: str, what: str) -> str:
    r"""Write the value of an ENV or a LABEL, so that the built image holds exactly ``value``.

    Backslashes that stand before a quote or at the end are written outside the quotes: builders read both forms alike,
    but hadolint takes ``\\"`` for an escaped quote. The empty pair of quotes at the end keeps them from joining lines.

    Args:
        value: any text on one line.
        what: what the value is, for the error.

    Raises:
        ValueError: the value has a line break or a NUL.
    """
    _refuse_line_break(value, what)
    quoted_then_bare = _BACKSLASHES_BEFORE_QUOTE.split(value)
    return "".join(
        "\\\\" * len(part) if index % 2 else f'"{_escape_in_double_quotes(part)}"'
        for index, part in enumerate(quoted_then_bare)
    )


def _escape_in_double_quotes(text: str) -> str:
    return re.sub(r'([\\"$])', r"\\\1", text)


def quote_shell(value: str, what: str) -> str:
    """Write one word of a RUN in shell form.

    A dollar or a backquote stands escaped in double quotes: in single quotes a linter asks whether it was to expand.

    Raises:
        ValueError: the value has a line break or a NUL.
    """
    _refuse_line_break(value, what)
    if "$" in value or "`" in value:
        return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'
    return shlex.quote(value)


def quote_exec(words: Sequence[str]) -> str:
    """Write the JSON form of CMD and HEALTHCHECK, where a builder expands nothing.

    Raises:
        ValueError: a word has a NUL, which no process can be given.
    """
    for word in words:
        if "\x00" in word:
            raise ValueError(f"a command cannot hold a NUL: {word!r}")
    return json.dumps(list(words), ensure_ascii=False)


def quote_copy(sources: Sequence[str], target: str) -> str:
    """Write the paths of a COPY: as they are, or in JSON form where one has a space or another special character.

    A source is a pattern to the builder and, before that, a word in which variables and quotes count: both are escaped.

    Raises:
        ValueError: a path has a line break or a NUL.
    """
    paths = [*sources, target]
    for path in paths:
        _refuse_line_break(path, "a path")
    if all(_PLAIN_PATH.fullmatch(path) for path in paths):
        return " ".join(paths)
    escaped = [_escape_word(_escape_pattern(path)) for path in sources]
    return json.dumps([*escaped, _escape_word(target)], ensure_ascii=False)


def _escape_pattern(path: str) -> str:
    return re.sub(r"([\[*?])", r"[\1]", path.replace("\\", "\\\\"))


def _escape_word(path: str) -> str:
    return re.sub(r"""([\\$"'])""", r"\\\1", path)


def to_comment(text: str) -> str:
    """Put any text on one line, with nothing in it that does not print."""
    return "".join(character if character.isprintable() else " " for character in text)
