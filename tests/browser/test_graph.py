"""The drawing of a graph: live values, the branches of the last response, and requests to one component alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunningServer

OpenModel = Callable[..., Any]
Choose = Callable[[Any, str], None]

TOKEN = "only-for-the-tests"
CLOSED = {"SELDON_SPEC__SERVER__AUTH__TOKENS": '[{"from_env": "PAGE_TOKEN"}]', "PAGE_TOKEN": TOKEN}
protocols = pytest.mark.parametrize("protocol", ["V1", "V2"])


def node(page: Any, name: str, selector: str = "") -> Any:
    return page.locator(f'#graph [data-component="{name}"] {selector}')


def wait_for(page: Any, script: str, *values: Any) -> None:
    page.wait_for_function(
        f"values => {{ const [first, second] = values; return {script}; }}", arg=[*values, None, None]
    )


def send(page: Any) -> None:
    page.evaluate("() => { document.querySelector('#response').hidden = true; }")
    page.click("#send")
    page.wait_for_selector("#response:not([hidden])")


def ask(page: Any, length: str) -> str:
    """Send a request to the whole graph, and return the result."""
    page.locator("#form-view").get_by_label("length", exact=True).fill(length)
    send(page)
    return str(page.locator("#result dd").inner_text())


def choose_component(page: Any, name: str) -> None:
    node(page, name).first.click()
    page.wait_for_function("name => facts.component === name", arg=name)


def list_taken(page: Any) -> set[str]:
    found: list[str] = page.locator("#graph .node.taken .name").all_text_contents()
    return set(found)


def test_the_form_is_that_of_the_first_component(open_model: OpenModel) -> None:
    page = open_model("bandit")
    assert page.locator("#form-view label").all_inner_texts() == ["length", "width"]
    assert page.locator(".chip").all_inner_texts() == ["version 1.0", "graph"]
    assert page.locator("#graph .node .name").all_text_contents() == [
        "scaler", "by-length", "iris-1", "encoder", "iris-2", "iris-3", "labels",
    ]  # fmt: skip


@protocols
def test_the_branches_of_the_last_response_are_marked(open_model: OpenModel, choose: Choose, protocol: str) -> None:
    page = open_model("bandit")
    choose(page, protocol)
    assert list_taken(page) == set()
    assert ask(page, "1") == "30"
    assert list_taken(page) == {"scaler", "by-length", "iris-1", "labels"}
    assert page.locator("#routing").inner_text() == "Branches: by-length: branch 0"
    assert page.locator('#graph .edge.taken[data-branch="0"]').count() == 1
    assert ask(page, "9") == "1100"
    assert list_taken(page) == {"scaler", "by-length", "encoder", "iris-2", "labels"}
    assert page.locator('#graph .edge.taken[data-branch="0"]').count() == 0
    assert page.locator("#graph .edge.shadow.taken").count() == 0


def test_all_branches_of_a_combine_are_marked(open_model: OpenModel) -> None:
    page = open_model("vote")
    send(page)
    taken = list_taken(page)
    assert taken > {"left", "inner", "outer", "mean", "split"}
    assert len(taken & {"fast", "slow"}) == 1
    assert page.locator("#graph .share").count() == 2
    assert "combine: all branches" in page.locator("#routing").inner_text()


def test_calls_and_shares_are_counted_live(open_model: OpenModel) -> None:
    page = open_model("bandit")
    wait_for(page, "document.querySelector('#graph .node .count').textContent !== ''")
    before = page.evaluate("() => request('graph/counts').then(each => each.json())")
    counts = {(each["component"], each["outcome"]): each["count"] for each in before["calls"]}
    for length in ("1", "1", "9"):
        ask(page, length)
    script = "document.querySelector(`tr[data-component=${first}] .calls`).textContent === String(second)"
    wait_for(page, script, "iris-1", counts.get(("iris-1", "success"), 0) + 2)
    wait_for(page, script, "iris-2", counts.get(("iris-2", "success"), 0) + 1)
    wait_for(page, script, "iris-3", counts.get(("iris-3", "error"), 0) + 3)
    wait_for(
        page,
        "/^\\d+ calls, .+ ms$/.test(document.querySelector(first).textContent)",
        '#graph [data-component="iris-1"] .count',
    )
    assert node(page, "iris-3", ".failed").text_content().endswith(" errors")
    assert node(page, "iris-1", ".failed").text_content() == ""
    shares = page.locator("#graph [data-branch] .share").all_text_contents()
    assert sum(float(each.removesuffix(" %")) for each in shares) == pytest.approx(100, abs=0.2)
    page.get_by_text("The graph as tables").click()
    assert page.locator('tr[data-branch="0"] .share').inner_text() == shares[0]
    assert page.locator('tr[data-branch="-2"] .count').inner_text() == "0"


def test_a_component_is_tried_alone(open_model: OpenModel, choose: Choose) -> None:
    page = open_model("bandit")
    ask(page, "3")
    choose_component(page, "iris-2")
    assert page.locator("#request-title").inner_text() == "Request to iris-2"
    assert node(page, "iris-2").get_attribute("aria-pressed") == "true"
    assert page.locator("#form-view label").all_inner_texts() == ["petal_length", "petal_width"]
    assert page.locator("#inputs-title ~ .contract dt").all_inner_texts() == ["petals", "petal_length", "petal_width"]
    assert "/components/iris-2/predict'" in page.locator("#code").inner_text()
    send(page)
    assert page.locator("#result dd").inner_text() == "9"
    assert list_taken(page) == set()
    assert page.locator("#routing").text_content() == ""
    choose(page, "V2")
    assert "/v2/models/iris-2/infer'" in page.locator("#code").inner_text()
    send(page)
    assert page.locator("#result dt").inner_text() == "sum"
    page.get_by_role("button", name="Back to the whole graph").click()
    page.wait_for_function("() => facts.component === ''")
    assert page.locator("#request-title").inner_text() == "Request"
    assert page.locator("#form-view").get_by_label("length", exact=True).input_value() == "3"
    assert node(page, "iris-2").get_attribute("aria-pressed") == "false"
    assert "/predict'" in page.locator("#code").inner_text()
    assert ask(page, "1") == "30"


def test_what_was_typed_for_a_component_is_kept(open_model: OpenModel, choose: Choose) -> None:
    page = open_model("bandit")
    choose_component(page, "iris-2")
    page.locator("#form-view").get_by_label("petal_length").fill("7")
    choose(page, "Table")
    page.locator('[data-column="0"]').fill("8")
    choose_component(page, "scaler")
    assert page.locator("#form-view").get_by_label("width").input_value() == "2"
    choose_component(page, "iris-2")
    assert page.locator('[data-column="0"]').input_value() == "8"
    choose(page, "Form")
    assert page.locator("#form-view").get_by_label("petal_length").input_value() == "7"
    node(page, "iris-2").click()
    page.wait_for_function("() => facts.component === ''")


METHODS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("bandit", "scaler"): ("/components/scaler/transform-input'", "10"),
    ("bandit", "by-length"): ("/components/by-length/route'", "0"),
    ("vote", "mean"): ("/components/mean/aggregate'", "1"),
    ("vote", "right"): ("/components/right/predict'", "1"),
}


@pytest.mark.parametrize(("model", "name"), METHODS)
def test_each_service_type_is_called_by_its_operation(open_model: OpenModel, model: str, name: str) -> None:
    path, first = METHODS[model, name]
    page = open_model(model)
    choose_component(page, name)
    assert path in page.locator("#code").inner_text()
    send(page)
    assert page.locator("#result dd").first.inner_text() == first
    languages = page.locator("#language option").all_inner_texts()
    assert languages == ["curl", "Python, requests", "JavaScript"]


def test_a_component_of_another_server_has_the_editor(
    open_model: OpenModel, serve_model: Callable[..., RunningServer], choose: Choose
) -> None:
    url = f"http://127.0.0.1:{serve_model('plain').http}"
    page = open_model("remote", {"SELDON_SPEC__COMPONENTS__FAR__URL": url})
    assert node(page, "far", ".detail").text_content() == f"MODEL, at {url.removeprefix('http://')}"
    choose_component(page, "far")
    assert page.locator("#form-view").count() == 0
    for protocol in ("V1", "V2"):
        choose(page, protocol)
        send(page)
        assert page.locator("#result dd").first.inner_text() == "2"


def test_components_inside_a_nested_graph_are_no_buttons(open_model: OpenModel) -> None:
    page = open_model("vote")
    assert node(page, "inner").get_attribute("role") is None
    node(page, "inner").click()
    assert page.locator("#request-title").inner_text() == "Request"


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_component_is_chosen_by_keyboard(open_model: OpenModel, key: str) -> None:
    page = open_model("bandit")
    page.wait_for_selector("#routing", state="attached")
    page.locator(".drawing").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.component") == "scaler"
    page.keyboard.press("Tab")
    page.keyboard.press(key)
    page.wait_for_selector("#request-title:has-text('Request to by-length')")
    assert page.evaluate("document.activeElement.dataset.component") == "by-length"
    assert page.locator("#chosen").inner_text() == "Requests go to by-length alone."
    page.keyboard.press(key)
    page.wait_for_function("() => facts.component === ''")
    assert page.locator("#chosen").inner_text() == "Requests go to the whole graph."


def test_an_error_names_the_component(open_model: OpenModel) -> None:
    page = open_model("bandit")
    choose_component(page, "iris-3")
    page.click("#send")
    page.wait_for_selector("#status.failed")
    assert "component iris-3: " in page.locator("#status").inner_text()


def test_recent_requests_belong_to_their_component(open_model: OpenModel, choose: Choose) -> None:
    page = open_model("bandit")
    choose_component(page, "iris-1")
    send(page)
    assert page.locator("#recent-list li").count() == 1
    choose_component(page, "by-length")
    assert page.locator("#recent-list li").count() == 0
    choose_component(page, "iris-1")
    assert page.locator("#recent-list li").count() == 1


def test_the_drawing_scrolls_in_its_own_container(open_model: OpenModel) -> None:
    page = open_model("bandit", viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    drawing = page.locator(".drawing")
    assert drawing.evaluate("each => each.scrollWidth > each.clientWidth")
    assert drawing.get_attribute("tabindex") == "0"
    node(page, "labels").click()
    page.wait_for_function("() => facts.component === 'labels'")


def test_a_graph_with_a_token(open_model: OpenModel) -> None:
    page = open_model("bandit", CLOSED)
    assert page.locator("#graph").count() == 0
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    wait_for(page, "document.querySelector('#graph .node .count')?.textContent")
    assert ask(page, "1") == "30"
    choose_component(page, "iris-2")
    send(page)
    assert page.locator("#result dd").inner_text() == "9"
    fill = page.locator("#graph .node.route polygon").evaluate("each => getComputedStyle(each).fill")
    assert fill != "rgb(0, 0, 0)"


def test_a_model_without_a_graph_loads_nothing_of_it(open_model: OpenModel) -> None:
    page = open_model("flowers")
    assert page.locator("#graph").count() == 0
    assert (
        page.evaluate("performance.getEntriesByType('resource').filter(each => each.name.includes('graph')).length")
        == 0
    )
