"""Quoting of values in a Dockerfile: one function for each kind of instruction.

A Dockerfile cannot escape a line break, so the functions reject it.

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


def _reject_line_break(value: str, what: str) -> None:
    if _LINE_BREAK.search(value):
        raise ValueError(f"{what}: a Dockerfile cannot contain a line break in a value: {value!r}")


def quote_value(value: str, what: str) -> str:
    r"""Quote the value of an ENV or LABEL.

    Backslashes before a quote or at the end are written outside the quotes: builders read both forms alike, but
    hadolint reads ``\\"`` as an escaped quote. An empty pair of quotes at the end prevents a line continuation.

    Args:
        value: any text on one line.
        what: name of the value, for the error.

    Raises:
        ValueError: the value contains a line break or NUL.
    """
    _reject_line_break(value, what)
    quoted_then_bare = _BACKSLASHES_BEFORE_QUOTE.split(value)
    return "".join(
        "\\\\" * len(part) if index % 2 else f'"{_escape_in_double_quotes(part)}"'
        for index, part in enumerate(quoted_then_bare)
    )


def _escape_in_double_quotes(text: str) -> str:
    return re.sub(r'([\\"$])', r"\\\1", text)


def quote_shell(value: str, what: str) -> str:
    """Quote one word of a RUN in shell form.

    A dollar sign or backquote is escaped in double quotes: in single quotes, a linter warns about it.

    Raises:
        ValueError: the value contains a line break or NUL.
    """
    _reject_line_break(value, what)
    if "$" in value or "`" in value:
        return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'
    return shlex.quote(value)


def quote_exec(words: Sequence[str]) -> str:
    """Return the JSON form of CMD and HEALTHCHECK, in which builders expand nothing.

    Raises:
        ValueError: a word contains NUL, which an argument cannot contain.
    """
    for word in words:
        if "\x00" in word:
            raise ValueError(f"a command cannot contain NUL: {word!r}")
    return json.dumps(list(words), ensure_ascii=False)


def quote_copy(sources: Sequence[str], target: str) -> str:
    """Return the paths of a COPY: unchanged, or in JSON form if one contains a special character.

    A builder expands variables and quotes in a source, and then reads it as a pattern: both are escaped.

    Raises:
        ValueError: a path contains a line break or NUL.
    """
    paths = [*sources, target]
    for path in paths:
        _reject_line_break(path, "a path")
    if all(_PLAIN_PATH.fullmatch(path) for path in paths):
        return " ".join(paths)
    escaped = [_escape_word(_escape_pattern(path)) for path in sources]
    return json.dumps([*escaped, _escape_word(target)], ensure_ascii=False)


def _escape_pattern(path: str) -> str:
    return re.sub(r"([\[*?])", r"[\1]", path.replace("\\", "\\\\"))


def _escape_word(path: str) -> str:
    return re.sub(r"""([\\$"'])""", r"\\\1", path)


def to_comment(text: str) -> str:
    """Replace line breaks and non-printable characters by spaces."""
    return "".join(character if character.isprintable() else " " for character in text)
