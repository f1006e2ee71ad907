"""The page of a server with ``server.auth``: a form for the token, which only the tab keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OpenModel = Callable[..., Any]
Choose = Callable[[Any, str], None]

TOKEN = "only-for-the-tests"
VARIABLES = {"SELDON_SPEC__SERVER__AUTH__TOKENS": '[{"from_env": "PAGE_TOKEN"}]', "PAGE_TOKEN": TOKEN}


def log_in(page: Any, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")


def test_a_wrong_token_is_an_error_and_shows_nothing(open_model: OpenModel) -> None:
    page = open_model("flowers", VARIABLES)
    log_in(page, "wrong")
    page.wait_for_selector("#token-error:not(:empty)")
    assert page.locator("#token-error").inner_text() == "The server does not accept this token."
    assert "flowers" not in page.content()
    assert page.evaluate("Object.values(sessionStorage)") == []


def test_the_token_is_sent_with_each_request_and_kept_in_the_tab(open_model: OpenModel, choose: Choose) -> None:
    page = open_model("flowers", VARIABLES)
    log_in(page, TOKEN)
    page.wait_for_selector("#send")
    assert page.title() == "flowers 1.0"
    for protocol in ("V1", "V2"):
        choose(page, protocol)
        page.evaluate("document.querySelector('#response').hidden = true")
        page.click("#send")
        page.wait_for_selector("#response:not([hidden])")
    page.wait_for_selector("#state.ready")
    page.reload()
    page.wait_for_selector("#send")
    assert page.evaluate("Object.keys(localStorage).length + document.cookie.length") == 0
    tab = page.context.new_page()
    tab.goto(page.url)
    assert tab.get_by_label("Token").is_visible()
    assert "flowers" not in tab.content()


def test_links_are_opened_with_the_token(open_model: OpenModel) -> None:
    page = open_model("flowers", VARIABLES)
    log_in(page, TOKEN)
    page.get_by_role("link", name="Metadata V2").click()
    page.wait_for_selector("dialog[open]")
    assert '"name": "flowers"' in page.locator("dialog pre").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("dialog").is_hidden()


def test_code_names_the_token_but_does_not_contain_it(open_model: OpenModel) -> None:
    page = open_model("flowers", VARIABLES)
    log_in(page, TOKEN)
    page.wait_for_selector("#send")
    for language in page.locator("#language option").all_inner_texts():
        page.locator("#language").select_option(language)
        code = page.locator("#code").inner_text()
        assert "token" in code.lower()
        assert TOKEN not in code
