"""The table: rows from a spreadsheet or a file, predictions beside them, problems at their cells, and the download."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OpenModel = Callable[..., Any]
Choose = Callable[[Any, str], None]

PASTE = """([selector, text]) => {
    const transfer = new DataTransfer();
    transfer.setData("text/plain", text);
    const cell = document.querySelector(selector);
    cell.focus();
    cell.dispatchEvent(new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true, cancelable: true}));
}"""
FIRST_CELL = '[data-row="0"][data-column="0"]'


@pytest.fixture
def open_table(open_model: OpenModel, choose: Choose) -> OpenModel:
    def open_page(name: str, protocol: str = "V1") -> Any:
        page = open_model(name)
        choose(page, protocol)
        choose(page, "Table")
        return page

    return open_page


def read_cells(page: Any) -> list[list[str]]:
    rows: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('#rows tbody tr')].map(row => [...row.querySelectorAll('input')].map(i => i.value))"
    )
    return rows


def predict(page: Any) -> list[list[str]]:
    page.click("#send")
    page.wait_for_selector("#rows td.output")
    rows: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('#rows tbody tr')].map(row => [...row.querySelectorAll('td.output')].map(o => o.innerText))"
    )
    return rows


def test_the_table_starts_with_the_example(open_table: OpenModel) -> None:
    assert read_cells(open_table("flowers")) == [["5.1", "3.5", "1.4", "0.2"]]


@pytest.mark.parametrize("protocol", ["V1", "V2"])
def test_pasted_rows_are_predicted(open_table: OpenModel, protocol: str) -> None:
    page = open_table("flowers", protocol)
    page.evaluate(PASTE, [FIRST_CELL, "5.0\t3.4\t1.5\t0.2\r\n5.9\t2.8\t4.3\t1.3\r\n6.6\t3.0\t5.6\t2.0\r\n"])
    assert read_cells(page)[1] == ["5.9", "2.8", "4.3", "1.3"]
    outputs = predict(page)
    assert [max(range(3), key=lambda at: float(row[at])) for row in outputs] == [0, 1, 2]
    assert page.locator("th.output").all_inner_texts() == ["setosa", "versicolor", "virginica"]
    assert page.locator("#rows .bar").count() == 9
    assert page.locator("#status").inner_text().startswith("3 rows, ")


def test_a_paste_starts_at_the_cell(open_table: OpenModel) -> None:
    page = open_table("flowers")
    page.click("#add-row")
    page.evaluate(PASTE, ['[data-row="1"][data-column="2"]', "4.5\t1.5\n4.6\t1.6"])
    assert read_cells(page) == [
        ["5.1", "3.5", "1.4", "0.2"],
        ["5.1", "3.5", "4.5", "1.5"],
        ["", "", "4.6", "1.6"],
    ]


def test_one_pasted_value_is_left_to_the_browser(open_table: OpenModel) -> None:
    page = open_table("flowers")
    page.evaluate(PASTE, [FIRST_CELL, "4.5\n"])
    assert read_cells(page) == [["5.1", "3.5", "1.4", "0.2"]]


FILES: dict[str, tuple[str, list[list[str]], str]] = {
    "reordered": (
        "petal_width,petal_length,sepal_width,sepal_length\n0.3,1.5,3.4,5.0\n",
        [["5.0", "3.4", "1.5", "0.3"]],
        "1 row",
    ),
    "other-columns": (
        '\ufeffid;"sepal_length";sepal_width;petal_length;petal_width\r\n7;5;3;1;0\r\n',
        [["5", "3", "1", "0"]],
        "1 row; ignored columns: id",
    ),
    "missing-column": (
        "sepal_length,sepal_width,petal_length\n5,3,1\n",
        [["5", "3", "1", ""]],
        "1 row; missing columns: petal_width",
    ),
    "no-header": ("5,3,1,0\n6,3,4,1", [["5", "3", "1", "0"], ["6", "3", "4", "1"]], "2 rows"),
}


@pytest.mark.parametrize(("text", "expected", "status"), FILES.values(), ids=FILES)
def test_a_file_becomes_rows(
    open_table: OpenModel, tmp_path: Path, text: str, expected: list[list[str]], status: str
) -> None:
    page = open_table("flowers")
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8", newline="")
    page.locator("#csv").set_input_files(tmp_path / "rows.csv")
    page.wait_for_function("text => document.querySelector('#status').textContent === text", arg=status)
    assert read_cells(page) == expected


def test_a_dropped_file_with_quotes_is_predicted_and_downloaded(open_table: OpenModel, tmp_path: Path) -> None:
    page = open_table("delivery")
    text = (
        "note,distance_km,vehicle,is_fragile,stops\n"
        '"ring ""twice"", please",15,bicycle,true,4\n'
        '"two\nlines",30,van,FALSE,5\n'
    )
    page.evaluate(
        """text => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([text], "rows.csv", {type: "text/csv"}));
            document.querySelector("#table-view").dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, cancelable: true}));
        }""",
        text,
    )
    page.wait_for_selector('[data-row="1"]')
    assert page.evaluate("rows[0]") == ["15", "bicycle", "true", 'ring "twice", please', "4"]
    assert predict(page) == [
        ["72", "0.75", 'bicycle: ring "twice", please'],
        ["75", "0.25", "van: two\nlines"],
    ]
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "delivery.csv"
    rows = list(csv.reader(Path(download.value.path()).read_text(encoding="utf-8").splitlines(keepends=True)))
    assert rows[0] == ["distance_km", "vehicle", "is_fragile", "note", "stops", "minutes", "risk", "label"]
    assert rows[1] == [
        "15",
        "bicycle",
        "true",
        'ring "twice", please',
        "4",
        "72",
        "0.75",
        'bicycle: ring "twice", please',
    ]
    assert rows[2][3] == "two\nlines"


def test_more_rows_than_are_shown_are_sent_in_parts(open_table: OpenModel, tmp_path: Path) -> None:
    page = open_table("flowers")
    sent: list[int] = []
    page.on(
        "request",
        lambda request: (
            sent.append(len(request.post_data_json["data"]["ndarray"])) if "predict" in request.url else None
        ),
    )
    (tmp_path / "rows.csv").write_text("5,3,1,0\n" * 2500)
    page.locator("#csv").set_input_files(tmp_path / "rows.csv")
    page.wait_for_function("() => rows.length === 2500")
    assert page.locator("#rows tbody tr").count() == 200
    assert page.locator("#more-rows").inner_text() == "2300 more rows are not shown; they are sent too."
    assert len(predict(page)) == 200
    assert sent == [1000, 1000, 500]
    assert page.evaluate("predictions.rows.length") == 2500


def test_problems_are_shown_at_their_cells(open_table: OpenModel, tmp_path: Path) -> None:
    page = open_table("flowers")
    (tmp_path / "rows.csv").write_text("5,3,1,0\n" * 1003)
    page.locator("#csv").set_input_files(tmp_path / "rows.csv")
    page.wait_for_function("() => rows.length === 1003")
    page.evaluate("rows[1002][3] = '9'")
    page.locator('[data-row="2"][data-column="1"]').fill("11.5")
    page.click("#send")
    page.wait_for_selector("#rows .error")
    cell = page.locator('[data-row="2"][data-column="1"]')
    assert (cell.get_attribute("aria-invalid"), cell.get_attribute("aria-describedby")) == ("true", "cell-2-1")
    assert page.locator("#cell-2-1").inner_text() == "11.5 is greater than the maximum 10"
    cell.fill("3")
    page.click("#send")
    page.wait_for_function("() => cellErrors.has('1002,3')")
    assert page.locator("#rows .error").count() == 0


def test_rows_are_added_and_removed(open_table: OpenModel) -> None:
    page = open_table("delivery")
    page.click("#add-row")
    page.locator('[data-row="1"][data-column="0"]').fill("45")
    assert [row[0] for row in predict(page)] == ["56", "186"]
    page.get_by_label("Remove row 0").click()
    assert read_cells(page) == [["45", "bicycle", "false", "ring twice, please", "2"]]


def test_a_number_that_is_too_large_is_sent_as_it_is(open_table: OpenModel) -> None:
    page = open_table("flowers")
    page.locator("#rows tbody input").nth(1).fill("1e400")
    page.click("#send")
    page.wait_for_selector("#status.failed")
    assert "'1e400' is not a number" in page.locator("main").inner_text()
