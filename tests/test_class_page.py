"""The page of the class lists every member that the package looks for in a user's object."""

from __future__ import annotations

import re
from pathlib import Path

from seldon_spec.config.checks.class_rules import HOOKS
from seldon_spec.inference.component import hooks

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reference" / "class.md").read_text(encoding="utf-8")
ENDINGS = ("_raw", "_rest", "_grpc")
LOOKED_UP = re.compile(r"(?:getattr|getattr_static|hasattr|find_getter)\(user, \"([a-z]\w*)\"|\buser\.([a-z]\w*)")


def list_documented() -> set[str]:
    """Return the names in the first column of the table of members."""
    section = PAGE.partition("## Every member")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name.partition("(")[0] for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def list_looked_up() -> set[str]:
    """Return the names that the modules of the component read from the object, and those of its operations."""
    found = {"__init__", *hooks.NAMES.values(), *(name for names in HOOKS.values() for name in names)}
    for module in Path(hooks.__file__).parent.glob("*.py"):
        for match in LOOKED_UP.finditer(module.read_text(encoding="utf-8")):
            found.add(match[1] or match[2])
    return found


def test_the_page_lists_every_member_of_a_class() -> None:
    looked_up = list_looked_up()
    assert {"load", "infer", "tags", "metrics", "init_metadata", "custom_service", "model_error_handler"} <= looked_up
    documented = list_documented()
    with_ending = {name for name in looked_up if name.endswith(ENDINGS)}
    assert looked_up - with_ending <= documented
    raw = {f"{name}_raw" for name in hooks.NAMES.values()}
    assert raw <= documented
    assert {name for name in documented if not name.endswith(ENDINGS)} <= looked_up
