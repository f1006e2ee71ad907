"""Every code has a page, and each page's examples do what it says."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from seldon_spec.cli.diagnostic_index import INDEX
from seldon_spec.cli.explain import Explanation, load_explanations
from seldon_spec.cli.main import run

MODEL = """\
class MyModel:
    def __init__(self, threshold=0.5):
        self.threshold = threshold

    def predict(self, X, names):
        return X
"""
FILES = {"requirements.txt", "uv.lock", "pyproject.toml", "environment.yml", "Pipfile", "client.pem", "json.py"}
PAGES = load_explanations()


def _codes_in_the_sources() -> set[str]:
    """Every code that a Diagnostic is made with: its first text where it is written out, and the schema's table.

    ``report`` of a manifest has the workload before the code.
    """
    from seldon_spec.config.schema.violations import CODES

    found = set(CODES.values())
    origin = importlib.util.find_spec("seldon_spec")
    assert origin is not None
    assert origin.origin is not None
    for path in Path(origin.origin).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name not in ("Diagnostic", "report", "_report", "_wrong", "invalid_value"):
                continue
            texts = [each.value for each in node.args[: 1 + (name == "report")] if isinstance(each, ast.Constant)]
            found |= {text for text in texts[:1] if isinstance(text, str)}
    return found | {"reference"}


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert set(PAGES) == _codes_in_the_sources()
    assert list(PAGES) == sorted(PAGES)


def _codes_of(
    page: Explanation, side: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, set[str]]:
    """Set one side's example up, run its command, and read the codes on the page that it prints."""
    blocks = page.blocks
    (folder / "MyModel.py").write_text(blocks.get(f"{side}: MyModel.py", blocks.get("MyModel.py", MODEL)))
    if side in blocks:
        (folder / "seldon.yaml").write_text(blocks[side])
    elif f"{side}: printf" in blocks:
        text = blocks[f"{side}: printf"].rstrip("\n")
        (folder / "seldon.yaml").write_bytes(text.encode().decode("unicode_escape").encode("latin-1"))
    for title, text in blocks.items():
        name = title.removeprefix(f"{side}: ")
        if (name in FILES or "/" in name) and (title == name or title.startswith(side)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    for file in (Path(__file__).parents[1] / "tls").glob("*.pem"):
        if file.name in blocks.get(side, ""):
            shutil.copy(file, folder)
    for line in blocks.get(f"{side}: environment", "").splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    for module in blocks.get(f"{side}: not installed", "").split():
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.chdir(folder)
    command = blocks.get("command", "validate").split()
    code = run(command)
    written = capsys.readouterr().err
    return code, {name for name in PAGES if f"[{name}]" in written}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_the_wrong_example_gets_the_code_and_the_right_one_nothing(
    page: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, right = tmp_path / "wrong", tmp_path / "right"
    wrong.mkdir()
    right.mkdir()
    with monkeypatch.context() as patch:
        _, codes = _codes_of(page, "wrong", wrong, patch, capsys)
    assert codes == {page.code}
    with monkeypatch.context() as patch:
        ended, codes = _codes_of(page, "right", right, patch, capsys)
    assert (ended, codes) == (0, set())


def test_explain_prints_the_page_as_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "[port-clash]"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("port-clash\n\nTwo of the three ports are equal.")
    assert "wrong:\n\n    class_name: MyModel\n    ports: {http: 5000}\n" in page
    assert "```" not in page


WRONG_CODES = [
    ("port-crash", '"port-crash"; did you mean "port-clash"?'),
    ("missing", 'did you mean "missing-key" or "missing-extra" or "missing-package"?'),
    ("port", 'did you mean "port-clash"?'),
    ("qqq", 'there is no diagnostic "qqq"\n'),
]


@pytest.mark.parametrize(("code", "message"), WRONG_CODES, ids=[code for code, _ in WRONG_CODES])
def test_explain_suggests_similar_codes(code: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", code]) == 1
    captured = capsys.readouterr()
    assert (captured.out, message in captured.err) == ("", True), captured.err
    assert "help: seldon-spec explain lists every code" in captured.err


def test_explain_without_a_code_lists_every_code_in_a_line_of_its_topic(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines if line and line[0] != " "] == [*INDEX, lines[-1]]
    assert sorted(line.split()[0] for line in lines if line.startswith("  ")) == sorted(PAGES)
    assert all(list(codes) == sorted(codes) for codes in INDEX.values())


def test_machine_formats_use_the_same_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "seldon.yaml").write_text("clas_name: x\n")
    assert run(["validate", str(tmp_path), "--format", "json"]) == 1
    findings = json.loads(capsys.readouterr().out)["diagnostics"]
    assert {finding["code"] for finding in findings} <= set(PAGES)
