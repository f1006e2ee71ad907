"""The code that the page shows sends the same request: each is run and gives the response that the page has."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

OpenModel = Callable[..., Any]
Choose = Callable[[Any, str], None]

RUN_SECONDS = 60
TOKEN = "only-for-the-tests"
CLOSED = {"SELDON_SPEC__SERVER__AUTH__TOKENS": '[{"from_env": "PAGE_TOKEN"}]', "PAGE_TOKEN": TOKEN}
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
TEXT = 'it\'s "é" $HOME `id` \\n'

CASES = [
    (model, protocol, language)
    for model in ("flowers", "delivery", "picture", "plain", "closed")
    for protocol, languages in {
        "V1": ("curl", "Python, requests", "Python, gRPC", "JavaScript"),
        "V2": ("curl", "Python, requests", "Python, gRPC", "Python, tritonclient", "JavaScript"),
    }.items()
    for language in languages
]
CASES += [
    ("component", protocol, language)
    for _, protocol, language in CASES[: len(CASES) // 5]
    if (protocol, language) != ("V1", "Python, gRPC")
]


def read_code(page: Any, language: str) -> str:
    page.locator("#language").select_option(language)
    code: str = page.locator("#code").text_content()
    return code


def run(page: Any, code: str, language: str, folder: Path) -> str:
    if language == "JavaScript":
        with page.expect_console_message() as message:
            page.evaluate(f"async () => {{ const token = {json.dumps(TOKEN)}; {code} }}")
        return json.dumps(message.value.args[0].json_value())
    command = ["sh", "-c", code] if language == "curl" else [sys.executable, "-c", code]
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", "TOKEN": TOKEN, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("model", "protocol", "language"), CASES, ids=["-".join(case) for case in CASES])
def test_code_sends_the_same_request(
    open_model: OpenModel, choose: Choose, model: str, protocol: str, language: str, tmp_path: Path
) -> None:
    is_closed = model == "closed"
    folder = {"closed": "flowers", "component": "bandit"}.get(model, model)
    page = open_model(folder, CLOSED if is_closed else NO_VARIABLES)
    if model == "component":
        page.locator('#graph [data-component="iris-2"]').click()
        page.wait_for_selector("#whole")
    if is_closed:
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_selector("#send")
    choose(page, protocol)
    if model == "delivery":
        page.locator("#form-view").get_by_label("note").fill(TEXT)
    code = read_code(page, language)
    page.click("#send")
    page.wait_for_selector("#response:not([hidden])")
    expected = json.loads(page.locator("#response-text").text_content())
    output = run(page, code, language, tmp_path)
    if language == "Python, requests":
        assert ast.literal_eval(output) == expected
    elif language == "Python, tritonclient":
        names = [line.split(" ", 1)[0] for line in output.splitlines()]
        assert names == [each["name"] for each in expected["outputs"]]
    elif language == "Python, gRPC" and protocol == "V2":
        outputs = json.loads(output)["outputs"]
        assert [(each["name"], [int(size) for size in each["shape"]]) for each in outputs] == [
            (each["name"], each["shape"]) for each in expected["outputs"]
        ]
    else:
        assert json.loads(output) == expected


def test_code_is_copied(open_model: OpenModel) -> None:
    page = open_model("flowers", permissions=["clipboard-read", "clipboard-write"])
    code = read_code(page, "Python, gRPC")
    page.click("#copy")
    page.wait_for_selector("#copied:not(:empty)")
    assert page.evaluate("navigator.clipboard.readText()") == code


def test_code_follows_the_values(open_model: OpenModel) -> None:
    page = open_model("flowers")
    page.locator("#form-view").get_by_label("petal_width").fill("1.75")
    assert "1.75" in page.locator("#code").text_content()
    page.locator("#form-view").get_by_label("petal_width").fill("")
    assert "null" in page.locator("#code").text_content()


def test_a_message_that_is_not_json_has_no_code(open_model: OpenModel) -> None:
    page = open_model("plain")
    page.locator("#message").fill("{")
    assert read_code(page, "Python, requests").startswith("# no code: ")
