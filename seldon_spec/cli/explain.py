"""Explanations of diagnostics: one text for the terminal, the documentation and the test of its examples."""

from __future__ import annotations

import re
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
        NoSuchCode: no diagnostic has it; the message suggests a similar one.
    """
    from seldon_spec.config.schema.suggest import guess

    pages = load_explanations()
    page = pages.get(code.strip("[]"))
    if page is None:
        match = guess(code, pages)
        raise NoSuchCode(f'there is no diagnostic "{code}"' + (f'; did you mean "{match}"?' if match else ""))
    return f"{page.code}\n\n{_plain(page.text)}"


def _plain(markdown: str) -> str:
    """Convert Markdown to plain text: a code block becomes its title and its indented lines."""

    def block(match: re.Match[str]) -> str:
        lines = "".join(f"    {line}\n" for line in match["text"].splitlines())
        return f"{match['title']}:\n\n{lines}"

    return _BLOCK.sub(block, markdown).replace("`", "")
