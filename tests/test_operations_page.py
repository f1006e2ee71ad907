"""The page "Operations": every metric has its row, and the picture has a description."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from seldon_spec.observability.metrics.definitions import BUILTIN

DOCS = Path(__file__).parents[1] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def test_every_family_has_its_row() -> None:
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(seldon_spec_\w+)` \| (\w+) \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(definition.name, definition.kind.value, definition.help) for definition in BUILTIN.values()]


def test_the_picture_is_self_contained() -> None:
    """It has a title and a description, and no external resources or scripts."""
    picture = ElementTree.parse(DOCS / "images" / "processes.svg").getroot()
    assert all((picture.findtext(f"{SVG}{tag}") or "").strip() for tag in ("title", "desc"))
    names = {element.tag.removeprefix(SVG) for element in picture.iter()}
    assert names <= {"svg", "title", "desc", "defs", "marker", "path", "style", "rect", "text"}
