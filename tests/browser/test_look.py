"""Every state of the page is accessible, fits every width, and is readable in both themes.

With ``--screenshots DIR``, the states that the documentation shows are written to files: scripts/make_screenshots.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

OpenModel = Callable[..., Any]
Choose = Callable[[Any, str], None]

WIDTHS = (360, 1280, 3840)
TOKEN = "only-for-the-tests"
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


def send(page: Any) -> None:
    page.click("#send")
    page.wait_for_selector("#response:not([hidden])")


def show_form(page: Any, _choose: Choose) -> None:
    page.locator("#form-view").get_by_label("petal_length").fill("4.9")
    page.locator("#form-view").get_by_label("petal_width").fill("1.6")
    send(page)
    page.wait_for_function("() => document.querySelector('#live-latency').textContent.endsWith(' ms')")


def show_problems(page: Any, _choose: Choose) -> None:
    page.locator("#form-view").get_by_label("petal_width").fill("6")
    page.click("#send")
    page.wait_for_selector("#status.failed")


def show_table(page: Any, choose: Choose) -> None:
    choose(page, "Table")
    rows = "5.1\t3.5\t1.4\t0.2\n6.0\t2.9\t4.5\t1.5\n6.3\t3.3\t6.0\t2.5\n5.6\t3.0\t4.1\t1.3\n6.1\t2.8\t5.1\t1.7"
    page.evaluate("text => takeTable(text, 0, 0, false)", rows)
    page.click("#send")
    page.wait_for_selector("#rows td.output")


def show_table_problems(page: Any, choose: Choose) -> None:
    choose(page, "Table")
    page.locator('[data-column="3"]').fill("6")
    page.click("#send")
    page.wait_for_selector("#rows .error")


def show_types(page: Any, choose: Choose) -> None:
    choose(page, "V2")
    send(page)


def show_picture(page: Any, _choose: Choose) -> None:
    send(page)


def show_editor(page: Any, _choose: Choose) -> None:
    send(page)
    page.wait_for_selector("#recent:not([hidden])")
    page.evaluate("document.querySelector('#raw').open = true")


def show_graph(page: Any, _choose: Choose) -> None:
    for length in ("1", "2", "9"):
        page.locator("#form-view").get_by_label("length", exact=True).fill(length)
        send(page)
        page.evaluate("document.querySelector('#response').hidden = true")
    send(page)
    page.wait_for_function("() => document.querySelector('#graph .share').textContent !== ''")


def show_component(page: Any, _choose: Choose) -> None:
    page.locator('#graph [data-component="iris-2"]').click()
    page.wait_for_selector("#whole")
    send(page)


def show_graph_tables(page: Any, _choose: Choose) -> None:
    send(page)
    page.get_by_text("The graph as tables").click()


def show_token(page: Any, _choose: Choose) -> None:
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#token-error:not(:empty)")


def show_document(page: Any, _choose: Choose) -> None:
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Metadata V2").click()
    page.wait_for_selector("dialog[open]")


class State(NamedTuple):
    """A model, what the test does on its page, the variables of the server, and the theme that the documentation shows."""

    model: str
    show: Callable[[Any, Choose], None]
    variables: Mapping[str, str] = NO_VARIABLES
    shown: str = ""


CLOSED = {"SELDON_SPEC__SERVER__AUTH__TOKENS": '[{"from_env": "PAGE_TOKEN"}]', "PAGE_TOKEN": TOKEN}
STATES = {
    "form": State("flowers", show_form, shown="light"),
    "problems": State("flowers", show_problems),
    "table": State("flowers", show_table, shown="dark"),
    "table-problems": State("flowers", show_table_problems),
    "types": State("delivery", show_types),
    "picture": State("picture", show_picture),
    "tensors": State("tensors", show_types),
    "editor": State("plain", show_editor),
    "names": State("hostile", show_picture),
    "graph": State("bandit", show_graph, shown="light"),
    "component": State("bandit", show_component, shown="dark"),
    "graph-tables": State("vote", show_graph_tables),
    "token": State("flowers", show_token, CLOSED),
    "document": State("flowers", show_document, CLOSED),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_a_state_is_accessible_and_fits(
    open_model: OpenModel, choose: Choose, request: pytest.FixtureRequest, state: str, theme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe  # only `make test-browser` installs it

    model, show, variables, shown = STATES[state]
    page = open_model(model, variables, color_scheme=theme, reduced_motion="reduce")
    show(page, choose)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        violations = Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in violations] == [], width
        _write_screenshot(page, request, shown == theme and width == 1280, f"page-{state}-{theme}.png")


def _write_screenshot(page: Any, request: pytest.FixtureRequest, is_written: bool, name: str) -> None:
    folder = request.config.getoption("--screenshots")
    if folder is not None and is_written:
        page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
        page.screenshot(path=Path(folder) / name, full_page=True)
