"""A real browser and real servers. Every page that a test opens is checked for errors and requests to other hosts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunningServer, Serve

MODELS = Path(__file__).parent / "models"
EXAMPLES = Path(__file__).parents[2] / "examples"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WAIT_MILLISECONDS = 30_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # only `make test-browser` installs it

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def serve_model(serve_folder: Serve) -> Iterator[Callable[..., RunningServer]]:
    """Start the server of a model or an example, by its name; one for the tests of a module."""
    running: dict[tuple[str, frozenset[tuple[str, str]]], RunningServer] = {}
    with contextlib.ExitStack() as stack:

        def serve(name: str, variables: Mapping[str, str] = MappingProxyType({})) -> RunningServer:
            key = (name, frozenset(variables.items()))
            if key not in running:
                folder = MODELS / name if (MODELS / name).is_dir() else EXAMPLES / name
                running[key] = stack.enter_context(serve_folder(folder, variables=variables))
            return running[key]

        yield serve


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a URL in a new context of the browser, given its options."""
    with contextlib.ExitStack() as stack:

        def open_page(url: str, **options: Any) -> Any:
            context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
            stack.callback(context.close)
            context.set_default_timeout(WAIT_MILLISECONDS)
            page = context.new_page()
            problems: list[str] = []
            stack.callback(lambda: _check(problems))
            page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
            page.on("console", lambda message: problems.extend(_find_problem(message)))
            page.on("request", lambda request: problems.extend(_find_foreign(request.url, url)))
            page.goto(url)
            return page

        yield open_page


def _check(problems: list[str]) -> None:
    assert problems == []


def _find_problem(message: Any) -> Iterator[str]:
    """Yield what the console reports, except that a response is an error."""
    if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
        yield f"console: {message.text}"


def _find_foreign(requested: str, page: str) -> Iterator[str]:
    parts = urlsplit(requested)
    if parts.scheme not in ("data", "blob") and parts.netloc != urlsplit(page).netloc:
        yield f"request to another host: {requested}"


@pytest.fixture
def open_model(visit: Callable[..., Any], serve_model: Callable[..., RunningServer]) -> Callable[..., Any]:
    """Open the page of a model, by its name, with variables of the server and options of the browser."""

    def open_page(name: str, variables: Mapping[str, str] = MappingProxyType({}), **options: Any) -> Any:
        return visit(f"http://127.0.0.1:{serve_model(name, variables).http}/", **options)

    return open_page


@pytest.fixture
def choose() -> Callable[[Any, str], None]:
    """Choose an option of a switch, by its text."""

    def click(page: Any, text: str) -> None:
        page.locator(".switch label").filter(has_text=text).first.click()

    return click
