"""Explanations of diagnostics: one text for the terminal, the documentation and the test of its examples."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from seldon_spec.errors import SeldonSpecError

_BLOCK = re.compile(r"^```\w+ title=\"(?P<title>[^\"]+)\"\n(?P<text>.*?)^```\n", re.MULTILINE | re.DOTALL)


class NoSuchCode(SeldonSpecError):
    """No diagnostic has this code."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The page of one code.

    Attributes:
        code: as shown in brackets after a message.
        text: the page in Markdown.
        blocks: the examples by title: ``wrong``, ``right``, a file's name, ``wrong: environment``…
    """

    code: str
    text: str
    blocks: dict[str, str] = field(default_factory=dict)


@cache
def load_explanations() -> dict[str, Explanation]:
    """Return the page of every code, sorted by code."""
    text = (Path(__file__).parent / "diagnostics.md").read_text("utf-8")
    pages = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        code, _, body = part.partition("\n")
        blocks = {match["title"]: match["text"] for match in _BLOCK.finditer(body)}
        pages[code] = Explanation(code, body.strip() + "\n", blocks)
    return pages


def explain(code: str) -> str:
    """Return the page of one code as plain text.

    Raises:
        NoSuchCode: no diagnostic has it; the message suggests similar ones.
    """
    pages = load_explanations()
    code = code.strip("[]").lower()
    page = pages.get(code)
    if page is None:
        similar = " or ".join(f'"{each}"' for each in _find_similar(code, pages))
        problem = f'there is no diagnostic "{code}"' + (f"; did you mean {similar}?" if similar else "")
        raise NoSuchCode(f"{problem}\n     = help: seldon-spec explain lists every code")
    return f"{page.code}\n\n{_plain(page.text)}"


def _find_similar(code: str, codes: Iterable[str]) -> list[str]:
    """Return at most three codes: with similar letters, else with the code as one of their words."""
    import difflib

    known = list(codes)
    matches = difflib.get_close_matches(code, known, n=3)
    return matches or [each for each in known if code in each.split("-")][:3]


def _plain(markdown: str) -> str:
    """Convert Markdown to plain text: a code block becomes its title and its indented lines."""

    def block(match: re.Match[str]) -> str:
        lines = "".join(f"    {line}\n" for line in match["text"].splitlines())
        return f"{match['title']}:\n\n{lines}"

    return _BLOCK.sub(block, markdown).replace("`", "")
