"""The JSON editor, recent requests, service types, links, live values and a path prefix."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunningServer

OpenModel = Callable[..., Any]
Choose = Callable[[Any, str], None]


def send(page: Any, text: str | None = None) -> Any:
    """Send a message from the editor, and return the response."""
    if text is not None:
        page.locator("#message").fill(text)
    page.evaluate("document.querySelector('#response').hidden = true")
    page.click("#send")
    page.wait_for_selector("#response:not([hidden])")
    return json.loads(page.locator("#response-text").text_content())


def test_a_model_without_a_contract_has_an_editor_with_an_example(open_model: OpenModel, choose: Choose) -> None:
    page = open_model("plain")
    assert page.locator("#form-view, #table-view").count() == 0
    assert send(page)["data"]["ndarray"] == [[2.0, 4.0]]
    assert page.locator("#result dd").all_inner_texts() == ["2", "4"]
    choose(page, "V2")
    assert send(page)["outputs"][0]["data"] == [2.0, 4.0]
    response = send(page, '{"inputs": [{"name": "x", "datatype": "INT64", "shape": [2, 1], "data": [1, 2]}]}')
    assert response["outputs"][0]["data"] == [2, 4]
    assert page.locator("#result tbody td").all_inner_texts() == ["2", "4"]


def test_large_integers_keep_their_digits(open_model: OpenModel, choose: Choose) -> None:
    page = open_model("plain")
    choose(page, "V2")
    send(page, '{"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [4503599627370497001]}]}')
    assert page.locator("#result dd").all_inner_texts() == ["9007199254740994002"]
    assert "9007199254740994002" in page.locator("#response-text").text_content()


def test_recent_requests_are_kept_in_the_tab(open_model: OpenModel, choose: Choose) -> None:
    page = open_model("plain")
    send(page, '{"data": {"ndarray": [[1]]}}')
    send(page, '{"strData": "ab"}')
    choose(page, "V2")
    send(page)
    page.reload()
    entries = page.locator("#recent-list button")
    assert entries.count() == 3
    assert "V1 200" in entries.nth(1).inner_text()
    entries.nth(2).click()
    assert page.locator("#message").input_value() == '{"data": {"ndarray": [[1]]}}'
    assert page.locator('input[value="v1"]').is_checked()
    other = page.context.browser.new_context()
    try:
        tab = other.new_page()
        tab.goto(page.url)
        assert tab.locator("#recent").is_hidden()
    finally:
        other.close()


@pytest.mark.parametrize(
    "text", ["{", '{"data": {"tensor": {"shape": [3], "values": [1]}}}'], ids=["syntax", "payload"]
)
def test_errors_without_a_field_are_announced(open_model: OpenModel, text: str) -> None:
    page = open_model("plain")
    page.locator("#message").fill(text)
    page.click("#send")
    page.wait_for_selector("#status.failed")
    assert page.locator("#status").get_attribute("role") == "status"
    assert page.locator("#status").inner_text().startswith("Error 400: ")


def test_the_editor_starts_with_what_the_form_has(open_model: OpenModel, choose: Choose) -> None:
    page = open_model("delivery")
    page.locator("#form-view").get_by_label("note").fill("é")
    choose(page, "JSON")
    message = json.loads(page.locator("#message").input_value())
    assert message["data"]["ndarray"] == [[12.5, "bicycle", False, "é", 2]]
    choose(page, "V2")
    message = json.loads(page.locator("#message").input_value())
    assert [each["shape"] for each in message["inputs"]] == [[1], [1], [1], [1], [1, 1]]


TYPES: dict[str, tuple[str, str, str | None, Any]] = {
    "combiner": ("mean-ensemble", "V1", None, [[1.0, 2.0]]),
    "router": ("bandit-router", "V1", None, [[0]]),
    "transformer": ("output-transformer", "V1", "Transform output", None),
}


@pytest.mark.parametrize(("model", "protocol", "operation", "expected"), TYPES.values(), ids=TYPES)
def test_each_service_type_has_its_path(
    open_model: OpenModel, choose: Choose, model: str, protocol: str, operation: str | None, expected: Any
) -> None:
    page = open_model(model)
    choose(page, protocol)
    if operation is not None:
        choose(page, operation)
    response = send(page)
    if expected is not None:
        assert response["data"]["ndarray"] == expected
    assert response["data"]["ndarray"]


def test_a_combiner_gets_a_list_of_responses_over_v2(open_model: OpenModel, choose: Choose) -> None:
    page = open_model("mean-ensemble")
    choose(page, "V2")
    assert send(page)["outputs"][0]["data"] == [1.0, 2.0]


def test_live_values_follow_the_requests(open_model: OpenModel) -> None:
    page = open_model("plain")
    page.wait_for_function("() => samples.length > 0")
    send(page)
    page.wait_for_function("() => !document.querySelector('#live-rate').textContent.startsWith('0.0')")
    page.wait_for_function("() => document.querySelector('#live-latency').textContent.endsWith(' ms')")
    assert page.locator("#live-queue").inner_text().endswith(" ms")
    assert page.locator("#state").inner_text() == "ready"
    assert page.locator("#sparkline polyline").get_attribute("points")


def test_nothing_is_polled_while_the_tab_is_hidden(open_model: OpenModel) -> None:
    page = open_model("plain")
    page.wait_for_function("() => samples.length > 0")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    polled: list[str] = []
    page.on("request", lambda request: polled.append(request.url))
    page.evaluate("poll()")
    assert (polled, page.evaluate("samples.length")) == ([], 0)


PREFIX = "/seldon/ns/model"


@pytest.fixture
def ingress(serve_model: Callable[..., RunningServer]) -> Iterator[str]:
    """A proxy that serves the model below a path."""
    port = serve_model("flowers").http

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection("127.0.0.1", port)
            try:
                found = self.path.startswith(f"{PREFIX}/")
                connection.request(
                    self.command, self.path.removeprefix(PREFIX) if found else "/nothing", body, dict(self.headers)
                )
                response = connection.getresponse()
                content = response.read()
                self.send_response(response.status)
                for name, value in response.getheaders():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            finally:
                connection.close()

        do_POST = do_GET  # noqa: N815 - as the base class names it

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_page_works_below_a_path(visit: Callable[..., Any], ingress: str, choose: Choose) -> None:
    page = visit(ingress)
    for protocol in ("V1", "V2"):
        choose(page, protocol)
        page.evaluate("document.querySelector('#response').hidden = true")
        page.click("#send")
        page.wait_for_selector("#response:not([hidden])")
        assert page.locator("#result dt").count() == 3
        assert f"{ingress}" in page.locator("#code").inner_text()
    page.wait_for_selector("#state.ready")
