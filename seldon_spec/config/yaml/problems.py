"""Diagnostics of text that is not YAML or exceeds a limit."""

from __future__ import annotations

import re
import unicodedata

import yaml

from seldon_spec.config.yaml.document import Document, shorten
from seldon_spec.errors import Diagnostic, Position

MAX_DEPTH = 50
UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def quote(text: str) -> str:
    """Return a shortened text in quotes."""
    return f'"{shorten(text)}"'


def limit_exceeded(document: Document, position: Position, message: str, allowed: str) -> Diagnostic:
    """Return the diagnostic of an exceeded limit."""
    return Diagnostic("limit", message, document.origin(position), allowed=allowed)


def too_deep(document: Document, position: Position) -> Diagnostic:
    """Return the diagnostic of too many nested collections."""
    return limit_exceeded(document, position, "the values are nested too deeply", f"at most {MAX_DEPTH} levels")


def undecodable(data: bytes, file: str, error: UnicodeDecodeError) -> Document:
    """Return the document of a file that is not UTF-8, with a diagnostic at the invalid byte."""
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


def control_character(document: Document, text: str, index: int) -> Diagnostic:
    """Return the diagnostic of the character at ``index``, which YAML does not allow."""
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text[:index])
    whole = re.split("[\n\r\x85\u2028\u2029]", text[index:], maxsplit=1)[0]
    line = UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", lines[-1] + whole)
    position = Position(document.file, len(lines), len(lines[-1]) + 1, 1, line)
    name = unicodedata.name(text[index], "")
    return Diagnostic(
        "control-character",
        "YAML does not allow this character",
        document.origin(position),
        found=f"U+{ord(text[index]):04X}" + (f" ({name.lower()})" if name else ""),
        help='delete it, or write it as an escape in double quotes, e.g. "\\0"',
    )


def syntax_error(document: Document, error: yaml.YAMLError) -> Diagnostic:
    """Return the diagnostic of an error that the parser raised."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Diagnostic("yaml-syntax", f"not YAML: {error}", document.origin(document.start()))
    mark = error.problem_mark or error.context_mark
    line_index = min(mark.line, len(document.lines) - 1) if mark else 0
    line = document.lines[line_index]
    # The end of the stream is after the last line.
    column = 0 if mark is None else len(line) if mark.line > line_index else min(mark.column, len(line))
    position = Position(document.file, line_index + 1, column + 1, 1, line)
    if "nesting depth" in (error.problem or ""):
        # libyaml 0.2.6 and newer allow 1000 levels, and read ahead of the events that MAX_DEPTH counts.
        return too_deep(document, position)
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        tab = indent.index("\t")
        position = Position(document.file, line_index + 1, tab + 1, len(indent) - tab, line)
        return Diagnostic(
            "yaml-tab",
            "this line is indented with a tab",
            document.origin(position),
            help="YAML requires spaces: replace the tab",
        )
    related: tuple[tuple[str, Position], ...] = ()
    context = error.context_mark
    is_open = "quoted scalar" in (error.context or "") and "unexpected" in (error.problem or "")
    if context is not None and is_open and context.line < len(document.lines):
        text = document.lines[context.line]
        position = Position(document.file, context.line + 1, context.column + 1, 1, text)
        return Diagnostic("yaml-syntax", "not YAML: a quotation mark is not closed", document.origin(position))
    if context is not None and context.line < len(document.lines) and context.line != line_index:
        start = Position(document.file, context.line + 1, context.column + 1, 1, document.lines[context.line])
        related = ((error.context or "within", start),)
    if "<document start>" in (error.problem or ""):
        return Diagnostic(
            "second-document",
            "a second document begins here",
            document.origin(position),
            help='keep one document in the file: delete the "..." above, or what follows it',
        )
    return Diagnostic(
        "yaml-syntax",
        f"not YAML: {error.problem or error}",
        document.origin(position),
        related=related,
        help=_suggest(error.problem or "", line),
    )


def _suggest(problem: str, line: str) -> str | None:
    if "mapping values are not allowed" in problem:
        if line.count(": ") > 1:
            return 'put text that contains ": " in quotes'
        return "this line is indented too deeply, or the key above already has a value"
    if "unknown escape" in problem:
        return "a backslash in double quotes begins an escape: double it, or use single quotes"
    if "cannot start any token" in problem:
        return "put text that begins with @, ` or % in quotes"
    if "did not find expected ',' or" in problem or "expected ',' or" in problem:
        return "a bracket or brace is not closed, or a comma is missing before this position"
    if "did not find expected key" in problem or "<block end>" in problem:
        return "a key is missing, or the indentation of this line matches no line above it"
    return None
