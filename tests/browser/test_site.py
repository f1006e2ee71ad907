"""The documentation in a browser, as ``make docs`` builds it: accessible, readable on a phone, searchable, offline."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Visit = Callable[..., Any]

SITE = Path(__file__).parents[2] / "site"
PAGES = ("index", "quickstart", "commands", "api", "troubleshooting", "howto/tls", "reference/class")
WIDTHS = (390, 1280)
SEARCHES = {
    "install": "install.html",
    "quick start": "quickstart.html",
    "class methods": "reference/class.html",
    "request format": "reference/requests.html",
    "dataframe": "tutorials/dataframe.html",
    "joblib": "model-files.html",
    "image classification": "tutorials/image-model.html",
    "hugging face": "model-files.html",
    "validate requests": "reference.html#servervalidate_requests",
    "swagger": "protocols.html#openapi",
    "jupyter": "troubleshooting.html#jupyter-and-tests",
    "csv": "batch.html",
    "split traffic": "compose.html#compare-two-versions-ab-test-split-traffic",
    "bandit": "tutorials/graph-feedback.html",
    "pytest": "testing.html",
    "github actions": "ci.html",
    "gpu": "howto/gpu.html",
    "private index": "howto/private-index.html",
    "corporate proxy": "howto/private-index.html",
    "kubernetes": "kubernetes.html",
    "kserve": "kserve.html",
    "docker compose": "docker-compose.html",
    "timeout": "reference.html#serverrequest_timeout_seconds",
    "request timeout": "reference.html#serverrequest_timeout_seconds",
    "authentication": "howto/tokens.html",
    "certificate": "howto/tls.html",
    "password": "howto/secrets.html",
    "grafana": "howto/monitoring.html",
    "slow": "troubleshooting.html#slow-responses",
    "workers threads": "threads.html",
    "batching": "operations.html#batching",
    "environment variable": "variables.html",
    "precedence": "concepts/precedence.html",
    "custom metrics": "reference/class.html#custom-metrics",
    "cors": "troubleshooting.html#the-page-in-a-browser",
    "port already in use": "troubleshooting.html#a-port-is-already-in-use",
    "out of memory": "troubleshooting.html#memory",
    "troubleshooting": "troubleshooting.html",
    "migrate old image": "tutorials/migrate-image.html",
    "mlserver": "migrate/mlserver.html",
    "bentoml": "migrate/bentoml.html",
}
"""What readers search for, and a result that they must see."""
RESULTS = 10
"""How many results a reader looks at."""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    assert (SITE / "index.html").is_file(), "run make docs"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=SITE)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_fits(visit: Visit, url: str, name: str, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe  # only `make test-browser` installs it

    page = visit(f"{url}/{name}.html", color_scheme=theme, reduced_motion="reduce")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        violations = Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"][:3]]) for each in violations] == [], width


def test_every_page_fits_a_phone(visit: Visit, url: str) -> None:
    page = visit(f"{url}/index.html", viewport={"width": WIDTHS[0], "height": 900})
    wide = []
    for path in sorted(SITE.rglob("*.html")):
        page.goto(f"{url}/{path.relative_to(SITE)}", wait_until="domcontentloaded")
        if page.evaluate("document.documentElement.scrollWidth") > WIDTHS[0]:
            wide.append(path.name)
    assert wide == []


@pytest.mark.parametrize("query", SEARCHES)
def test_the_search_finds(visit: Visit, url: str, query: str) -> None:
    from playwright.sync_api import TimeoutError as Timeout  # only `make test-browser` installs it

    page = visit(f"{url}/index.html")
    for _ in range(5):  # what is typed before the page listens is lost
        page.locator("input[name=query]").fill(query)
        page.locator("input[name=query]").press("End")  # the page reads the text when a key is released
        with contextlib.suppress(Timeout):
            page.wait_for_selector(".md-search-result__link", timeout=6000)
            break
    links = page.eval_on_selector_all(".md-search-result__link", "links => links.map(each => each.href)")
    found = [
        link.removeprefix(f"{url}/").partition("?")[0] + "#" * ("#" in link) + link.partition("#")[2] for link in links
    ]
    assert SEARCHES[query] in found[:RESULTS]


def test_the_copied_commands_have_no_prompt_and_no_output(visit: Visit, url: str) -> None:
    page = visit(f"{url}/quickstart.html", permissions=["clipboard-read", "clipboard-write"])
    block = page.locator(".highlight:has(.gp)").first
    block.hover()
    block.locator("button[data-md-type=copy]").click()
    page.wait_for_function("() => navigator.clipboard.readText().then(text => text !== '')")
    lines = page.evaluate("() => navigator.clipboard.readText()").splitlines()
    assert [line for line in lines if line] == [
        "seldon-spec validate",
        "seldon-spec predict '[[1, 2, 3], [4, 5, 6]]'",
    ]


def test_a_reader_can_choose_the_colours(visit: Visit, url: str) -> None:
    page = visit(f"{url}/index.html", color_scheme="light")
    schemes = []
    for title in ("Switch to light mode", "Switch to dark mode", "Switch to system preference"):
        page.locator(f"label[title='{title}']:visible").click()
        schemes.append(page.evaluate("document.body.dataset.mdColorScheme"))
    assert schemes == ["default", "slate", "default"]


def test_a_page_leads_to_the_next(visit: Visit, url: str) -> None:
    page = visit(f"{url}/quickstart.html")
    page.locator(".md-footer__link--next").click()
    page.wait_for_selector("h1")
    assert page.url != f"{url}/quickstart.html"
