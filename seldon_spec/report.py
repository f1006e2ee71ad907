"""Diagnostics as text, for a terminal or for the text of an error."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from seldon_spec.diagnostics import Diagnostic, OriginKind, Position, Severity

MIN_WIDTH = 40

_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTE: "36"}


def render_text(diagnostics: Sequence[Diagnostic], *, width: int = 100, is_coloured: bool = False) -> str:
    """Render every finding with its position, source line and a caret; editors recognise the position."""
    paint = _paint if is_coloured else _no_colour
    width = max(width, MIN_WIDTH)
    return "".join(f"{line}\n" for diagnostic in diagnostics for line in _finding(diagnostic, width, paint))


def _paint(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"


def _no_colour(text: str, _: str) -> str:
    return text


def _finding(diagnostic: Diagnostic, width: int, paint: Any) -> list[str]:
    severity = diagnostic.severity
    label = paint(f"{severity.value}:", f"1;{_COLOURS[severity]}")
    place = paint(_visible(str(diagnostic.origin)), "1")
    lines = [f"{place}: {label} {_visible(diagnostic.message)} [{diagnostic.code}]"]
    position = diagnostic.origin.position
    if position is not None and position.text.strip():
        lines += _excerpt(position, width, paint, _COLOURS[severity])
    details = [(label, text) for label, text in (("found", diagnostic.found), ("allowed", diagnostic.allowed)) if text]
    details += [(label, str(place)) for label, place in diagnostic.related]
    details += [("note", note) for note in diagnostic.notes]
    if diagnostic.help:
        details.append(("help", diagnostic.help))
    return lines + [f"     = {name}: {_visible(text)}" for name, text in details]


def _excerpt(position: Position, width: int, paint: Any, colour: str) -> list[str]:
    """Return the source line and the caret below it; a line wider than the terminal is cut around the caret."""
    gutter = f"{position.line:>4} | "
    available = width - len(gutter)
    text, start, length = _clip(position.text.rstrip(), position.column - 1, position.width, available)
    indent = "".join("\t" if c == "\t" else " " * _cells(c) for c in text[:start])
    marked = text[start : start + length] or " "
    carets = "^" * max(1, sum(_cells(c) for c in marked))
    return [f"{gutter}{_visible(text)}", f"{' ' * (len(gutter) - 2)}| {indent}{paint(carets, f'1;{colour}')}"]


def _clip(text: str, start: int, length: int, width: int) -> tuple[str, int, int]:
    """Cut a line to ``width`` characters that include the marked range; "…" marks a cut."""
    length = max(1, min(length, len(text) - start, width - 2)) if start < len(text) else 1
    if len(text) <= width:
        return text, start, length
    first = 0 if start + length <= width - 1 else min(start, start + length - width + 2 + (width - length) // 2)
    last = first + width - (1 if first == 0 else 2)
    head = "…" if first else ""
    tail = "…" if last < len(text) else ""
    return f"{head}{text[first:last]}{tail}", start - first + len(head), length


def _cells(character: str) -> int:
    """Return the number of terminal columns of a character."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _visible(text: str) -> str:
    """Escape control characters, which could move the cursor or change colours."""
    return "".join(c if c == "\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def summarise(diagnostics: Sequence[Diagnostic], file: str) -> str:
    """Return one line: the number of errors by source; without errors, the number of warnings and notes."""
    errors = [d for d in diagnostics if d.severity is Severity.ERROR]
    if not errors:
        warnings = sum(d.severity is Severity.WARNING for d in diagnostics)
        notes = len(diagnostics) - warnings
        counts = [_count(warnings, "warning")] * bool(warnings) + [_count(notes, "note")] * bool(notes)
        return f"{file}: OK" + (f", with {' and '.join(counts)}" if counts else "")
    places = {"in the environment": 0, "in the flags": 0}
    for error in errors:
        origin = error.origin
        where = {OriginKind.ENVIRONMENT: "in the environment", OriginKind.FLAG: "in the flags"}.get(origin.kind)
        where = where or f"in {origin.position.file if origin.position else origin.name or file}"
        places[where] = places.get(where, 0) + 1
    order = sorted(
        (p for p in places.items() if p[1]), key=lambda place: place[0] in ("in the environment", "in the flags")
    )
    where = order[0][0] if len(order) == 1 else None
    total = _count(len(errors), "error")
    spread = f" {where}" if where else ": " + ", ".join(f"{count} {name}" for name, count in order)
    return f"Found {total}{spread}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def exit_code(diagnostics: Sequence[Diagnostic]) -> int:
    """Return 1 if any finding is an error, else 0."""
    return int(any(d.severity is Severity.ERROR for d in diagnostics))
