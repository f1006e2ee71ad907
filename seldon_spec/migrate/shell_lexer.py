"""Lexer of Dockerfiles and shell commands: quotes, escapes and variables. Nothing is evaluated.

Source: Dockerfile reference, "Environment replacement"; POSIX shell, "Token Recognition" and "Parameter Expansion".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_LENGTH = 100_000
"""Maximum length of an expanded word: variables may refer to others, so that a short file could expand to gigabytes."""

_VARIABLE = re.compile(r"\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<rest>[^{}]*)\})")
_OPERATORS = ("&&", "||", ";", "|", "&", "<", ">", "(", ")", "\n")
_OPERATOR_STARTS = frozenset(operator[0] for operator in _OPERATORS)
_IN_DOUBLE_QUOTES = '"$`'


class UnclosedQuote(ValueError):
    """A quote is not closed."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word after expansion.

    Attributes:
        text: without quotes and with the values of known variables.
        start: offset in the input.
        variables: every variable in it.
        unknown: parts whose value is unknown: a variable without a value, ``$(…)``, a pattern.
        is_bare: the word is a single variable.
        is_operator: the word is a shell operator, such as ``&&``.
    """

    text: str
    start: int
    variables: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    is_bare: bool = False
    is_operator: bool = False


def read_words(text: str, known: Mapping[str, str], *, escape: str = "\\", is_shell: bool = False) -> list[Word]:
    """Split at white space, and with ``is_shell`` also at shell operators and comments.

    Raises:
        UnclosedQuote: the text ends within quotes.
    """
    reader = _Reader(text, known, escape, is_shell=is_shell)
    words = []
    while (word := reader.read()) is not None:
        words.append(word)
    return words


def read_whole(text: str, known: Mapping[str, str], *, escape: str = "\\") -> Word:
    """Read a text as one word, including its white space.

    Raises:
        UnclosedQuote: the text ends within quotes.
    """
    reader = _Reader(text, known, escape, is_shell=False, is_whole=True)
    return reader.read() or Word("", 0)


def literal_word(text: str) -> Word:
    """Return a word without expansion, as in exec form; a variable in it is recorded as unknown."""
    match = _VARIABLE.fullmatch(text)
    if match is None:
        return Word(text, 0)
    name = match["plain"] or match["name"]
    return Word(text, 0, (name,), (name,), is_bare=not match["rest"])


class _Reader:
    """Reads the words of a text."""

    def __init__(
        self, text: str, known: Mapping[str, str], escape: str, *, is_shell: bool, is_whole: bool = False
    ) -> None:
        self.text, self.known, self.escape, self.is_shell, self.is_whole = text, known, escape, is_shell, is_whole
        self.at = 0
        self.parts: list[str] = []
        self.length = 0
        self.variables: list[str] = []
        self.unknown: list[str] = []

    def read(self) -> Word | None:
        """Return the next word; None at the end."""
        self._skip_space()
        start = self.at
        if start >= len(self.text):
            return None
        operator = self._operator()
        if operator:
            self.at += len(operator)
            return Word(operator, start, is_operator=True)
        self.parts, self.variables, self.unknown, self.length = [], [], [], 0
        while self.at < len(self.text) and not self._is_end():
            self._step()
        written = self.text[start : self.at]
        match = _VARIABLE.fullmatch(written.strip('"'))
        is_bare = match is not None and not match["rest"]
        return Word("".join(self.parts), start, tuple(self.variables), tuple(self.unknown), is_bare)

    def _skip_space(self) -> None:
        while self.at < len(self.text):
            character = self.text[self.at]
            if self.is_shell and character == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif not self._is_space(character):
                return
            else:
                self.at += 1

    def _is_space(self, character: str) -> bool:
        return character in " \t" or (not self.is_shell and character in "\r\n")

    def _is_end(self) -> bool:
        if self.is_whole:
            return False
        return self._is_space(self.text[self.at]) or bool(self._operator())

    def _operator(self) -> str:
        if not self.is_shell or self.text[self.at] not in _OPERATOR_STARTS:
            return ""
        return next((operator for operator in _OPERATORS if self.text.startswith(operator, self.at)), "")

    def _step(self) -> None:
        character = self.text[self.at]
        if character == "'":
            self.parts.append(self.text[self.at + 1 : self._closing("'")])
            self.at = self._closing("'") + 1
        elif character == '"':
            self._double_quotes()
        elif character == self.escape and self.at + 1 < len(self.text):
            if self.text[self.at + 1] != "\n":
                self.parts.append(self.text[self.at + 1])
            self.at += 2
        else:
            self._plain(character)

    def _closing(self, quote: str) -> int:
        end = self.text.find(quote, self.at + 1)
        if end < 0:
            raise UnclosedQuote("a quote is not closed")
        return end

    def _double_quotes(self) -> None:
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != '"':
            following = self.text[self.at + 1 : self.at + 2]
            is_escape = self.text[self.at] == self.escape and following
            if is_escape and (following in _IN_DOUBLE_QUOTES or following == self.escape):
                self.parts.append(following)
                self.at += 2
            elif is_escape and following == "\n":
                self.at += 2
            else:
                self._plain(self.text[self.at])
        if self.at >= len(self.text):
            raise UnclosedQuote("a quote is not closed")
        self.at += 1

    def _plain(self, character: str) -> None:
        """Read a character without special meaning, or a variable."""
        if character == "`" and self.is_shell:
            self.unknown.append("`…`")
        match = _VARIABLE.match(self.text, self.at) if character == "$" else None
        if match:
            self._expand(match)
            self.at = match.end()
            return
        if character == "$" and re.match(r"[({0-9@*#?!$-]", self.text[self.at + 1 : self.at + 2]):
            self.unknown.append(f"${self.text[self.at + 1]}")
        self.parts.append(character)
        self.at += 1

    def _expand(self, match: re.Match[str]) -> None:
        name, rest = match["plain"] or match["name"], match["rest"] or ""
        self.variables.append(name)
        value = self.known.get(name)
        if rest.startswith((":-", "-")):
            default = rest.removeprefix(":").removeprefix("-")
            value = value if value or (value is not None and not rest.startswith(":")) else default
        elif rest:
            value = None
        if value is None or self.length + len(value) > MAX_LENGTH:
            self.unknown.append(name)
        else:
            self.length += len(value)
            self.parts.append(value)
