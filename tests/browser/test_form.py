"""The form: fields of the contract, predictions over both protocols, errors at their fields, and images."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OpenModel = Callable[..., Any]
Choose = Callable[[Any, str], None]

protocols = pytest.mark.parametrize("protocol", ["V1", "V2"])


def make_png(red: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes([red, 80, 160]) * 2) * 2)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def field(page: Any, name: str) -> Any:
    return page.locator("#form-view").get_by_label(name, exact=True)


def read_result(page: Any) -> dict[str, str]:
    page.wait_for_selector("#response:not([hidden])")
    names, values = page.locator("#result dt").all_inner_texts(), page.locator("#result dd").all_inner_texts()
    return dict(zip(names, values, strict=True))


@protocols
def test_columns_are_filled_with_the_example_and_predicted(
    open_model: OpenModel, choose: Choose, protocol: str
) -> None:
    page = open_model("flowers")
    choose(page, protocol)
    assert page.locator("[data-field]").evaluate_all("all => all.map(each => each.value)") == [
        "5.1", "3.5", "1.4", "0.2",
    ]  # fmt: skip
    field(page, "petal_length").fill("4.3")
    field(page, "petal_width").fill("1.3")
    page.click("#send")
    result = read_result(page)
    assert list(result) == ["setosa", "versicolor", "virginica"]
    assert float(result["versicolor"]) > 0.5
    widths = page.locator(".bar > span").evaluate_all("all => all.map(each => each.style.width)")
    shown = [round(100 * float(value), 4) for value in result.values()]
    assert [float(width.removesuffix("%")) for width in widths] == pytest.approx(shown)
    sent = json.loads(page.locator("#response-text").text_content())
    assert ("model_name" in sent) == (protocol == "V2")


def test_number_fields_have_the_bounds_of_the_contract(open_model: OpenModel) -> None:
    page = open_model("flowers")
    width = field(page, "petal_width")
    assert [width.get_attribute(name) for name in ("type", "min", "max", "step")] == ["number", "0", "5", "any"]
    assert page.locator("#field-3-hint").inner_text() == "FP64, 0 to 5. Centimetres."
    page = open_model("delivery")
    stops = field(page, "stops")
    assert [stops.get_attribute(name) for name in ("type", "min", "step")] == ["number", "0", "1"]
    assert field(page, "vehicle").locator("option").all_inner_texts() == ["bicycle", "van"]
    assert field(page, "is_fragile").get_attribute("type") == "checkbox"


@protocols
def test_columns_of_several_types_are_predicted(open_model: OpenModel, choose: Choose, protocol: str) -> None:
    page = open_model("delivery")
    choose(page, protocol)
    field(page, "vehicle").select_option("van")
    field(page, "is_fragile").check()
    field(page, "note").fill('a "quoted" note; <b>')
    field(page, "stops").fill("")
    page.click("#send")
    assert read_result(page) == {"minutes": "25", "risk": "0.75", "label": 'van: a "quoted" note; <b>'}


@protocols
def test_problems_of_values_are_shown_at_their_fields(open_model: OpenModel, choose: Choose, protocol: str) -> None:
    page = open_model("flowers")
    choose(page, protocol)
    field(page, "sepal_width").fill("12.5")
    field(page, "petal_width").fill("6.5")
    page.click("#send")
    page.wait_for_selector("#status.failed")
    assert page.locator("#status").inner_text() == "Error 400: 2 values are not valid"
    assert page.locator("#field-1-error").inner_text() == "12.5 is greater than the maximum 10"
    assert page.locator("#field-3-error").inner_text() == "6.5 is greater than the maximum 5"
    assert page.locator("[aria-invalid]").count() == 2
    assert page.evaluate("document.activeElement.id") == "field-1"
    field(page, "sepal_width").fill("3")
    assert page.locator("#field-1-error").inner_text() == ""
    field(page, "petal_width").fill("1")
    page.click("#send")
    assert set(read_result(page)) == {"setosa", "versicolor", "virginica"}
    assert page.locator("[aria-invalid]").count() == 0


def test_a_request_is_sent_with_the_keyboard_alone(open_model: OpenModel) -> None:
    page = open_model("flowers")
    order = []
    for _ in range(6):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.textContent || document.activeElement.name"))
    assert order[:3] == ["OpenAPI", "Metadata V1", "Metadata V2"]
    assert order[3:5] == ["protocol", "view"]
    page.keyboard.press("Control+A")
    page.keyboard.type("5.9")
    page.keyboard.press("Enter")
    page.wait_for_selector("#response:not([hidden])")
    assert json.loads(page.evaluate("currentText()"))["data"]["ndarray"][0][0] == 5.9


def test_a_switch_is_used_with_the_keyboard(open_model: OpenModel) -> None:
    page = open_model("flowers")
    page.locator('input[value="v1"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.locator("#table-view").is_visible()
    page.keyboard.press("ArrowRight")
    assert json.loads(page.locator("#message").input_value())["inputs"][0]["shape"] == [1, 4]


@protocols
@pytest.mark.parametrize("way", ["chosen", "dropped"])
def test_images_are_sent_and_shown(
    open_model: OpenModel, choose: Choose, protocol: str, way: str, tmp_path: Path
) -> None:
    page = open_model("picture")
    choose(page, protocol)
    content = make_png(len(protocol + way))
    encoded = base64.b64encode(content).decode()
    if way == "chosen":
        (tmp_path / "picture.png").write_bytes(content)
        page.locator("#field-0").set_input_files(tmp_path / "picture.png")
    else:
        drop(page, ".drop", "picture.png", encoded)
    page.wait_for_function("text => document.querySelector('.drop img').src.endsWith(text)", arg=encoded)
    page.click("#send")
    shown = page.wait_for_selector("#result img")
    assert shown.get_attribute("src") == f"data:image/png;base64,{encoded}"
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 2


def drop(page: Any, selector: str, name: str, encoded: str) -> None:
    transfer = page.evaluate_handle(
        """([name, encoded]) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(encoded), each => each.charCodeAt(0));
            transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        [name, encoded],
    )
    page.dispatch_event(selector, "drop", {"dataTransfer": transfer})


def test_names_are_text(open_model: OpenModel, choose: Choose) -> None:
    page = open_model("hostile")
    dialogs: list[str] = []

    def refuse(dialog: Any) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    labels = page.locator("#form-view label").all_inner_texts()
    assert labels == ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a; row 0, b: c"]
    page.click("#send")
    assert read_result(page) == {"</script><script>alert(2)</script>": "3"}
    choose(page, "Table")
    page.click("#send")
    page.wait_for_selector("td.output")
    assert page.locator("th.output").inner_text() == "</script><script>alert(2)</script>"
    assert (dialogs, page.locator("img").count(), page.locator("script").count()) == ([], 0, 2)


def test_values_are_reset_to_the_example(open_model: OpenModel, choose: Choose) -> None:
    page = open_model("flowers")
    choose(page, "V2")
    field(page, "petal_width").fill("6.5")
    page.click("#send")
    page.wait_for_selector("#status.failed")
    page.click("#restore")
    assert field(page, "petal_width").input_value() == "0.2"
    assert page.locator("[aria-invalid]").count() == 0
    assert page.locator('input[value="v2"]').is_checked()


@protocols
def test_tensors_have_a_json_field_each(open_model: OpenModel, choose: Choose, protocol: str) -> None:
    page = open_model("tensors")
    choose(page, protocol)
    assert field(page, "matrix").input_value() == "[[[1, 2], [3, 4]]]"
    field(page, "matrix").fill("[[[1, 2], [3, 4.5]]]")
    field(page, "caption").fill("é; two\nlines")
    page.click("#send")
    page.wait_for_selector("#response:not([hidden])")
    assert page.locator("#result").inner_text().split("\n")[-2:] == ["é; two", "lines"]
    assert "10.5" in page.locator("#response-text").text_content()
    assert str(64 * 64 * 3) in page.locator("#response-text").text_content()


@pytest.mark.parametrize(
    ("text", "error"), [("[", "this is not JSON: "), ("", "a value is missing")], ids=["syntax", "empty"]
)
def test_a_json_field_that_is_not_json_is_not_sent(open_model: OpenModel, text: str, error: str) -> None:
    page = open_model("tensors")
    field(page, "matrix").fill(text)
    page.click("#send")
    page.wait_for_selector("#status.failed")
    assert page.locator("#field-0-error").inner_text().startswith(error)
