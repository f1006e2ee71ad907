"""Every name of the table does what its row says, and what only describes never stops a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.cli import show
from seldon_spec.errors import OriginKind, Severity, SpecError
from seldon_spec.spec.loader import load
from seldon_spec.spec.model import UnitSpec
from seldon_spec.spec.source import MAX_BYTES
from seldon_spec.spec.variables import TABLE, Reading, rows_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "MyModel.py").write_text("class MyModel:\n    def predict(self, X, names): ...\n")
    (tmp_path / "seldon.yaml").write_text("class_name: MyModel\n")
    return tmp_path


UNIT: list[tuple[str, str, Any]] = [
    ("PREDICTIVE_UNIT_ID", "clf", "clf"),
    ("PREDICTIVE_UNIT_IMAGE", "reg:5000/org/img:1.2", "reg:5000/org/img:1.2"),
    ("SELDON_DEPLOYMENT_ID", "dep", "dep"),
    ("PREDICTOR_ID", "default", "default"),
    ("PREDICTOR_LABELS", '{"version": "v1", "app": "x"}', "v1"),
    ("PREDICTOR_LABELS", '{"version": 2}', "2"),
    ("PREDICTIVE_UNIT_METRICS_ENDPOINT", "/prometheus", "/prometheus"),
    ("MODEL_METADATA", "name: iris\nversions: [v1]\ncustom: {from_env: HOME}",
     {"name": "iris", "versions": ["v1"], "custom": {"from_env": "HOME"}}),
    ("MODEL_METADATA", '{"name": "iris"}', {"name": "iris"}),
    ("MODEL_METADATA", "{}", {}),
    ("PAYLOAD_PASSTHROUGH", "true", True),
    ("PAYLOAD_PASSTHROUGH", "T", True),
    ("PAYLOAD_PASSTHROUGH", "0", False),
    ("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "True", True),
    ("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "1", False),
    ("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "false", False),
    ("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "", False),
    ("SELDON_EXECUTOR_ENABLED", "true", True),
    ("SELDON_EXECUTOR_ENABLED", "False", False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "value"), UNIT, ids=[f"{name}={text}" for name, text, _ in UNIT])
def test_the_operator_s_names_describe_the_unit(folder: Path, name: str, text: str, value: object) -> None:
    spec = load(folder, {name: text})
    (row,) = (row for row in TABLE if row.name == name)
    assert getattr(spec.unit, row.path[1]) == value
    assert (spec.origin(*row.path).kind, spec.origin(*row.path).name) == (OriginKind.ENVIRONMENT, name)
    assert spec.diagnostics == ()
    assert f"unit.{row.path[1]} = {json.dumps(value)}  <- {name}\n" in show.render_text(spec)


def test_every_row_of_the_unit_has_a_case_and_a_field() -> None:
    rows = list(rows_of("unit"))
    assert {row.name for row in rows} == {name for name, _, _ in UNIT}
    assert {row.path[1] for row in rows} == set(UnitSpec.__dataclass_fields__)


UNREAD = [
    ("PREDICTOR_LABELS", "v1"),
    ("PREDICTOR_LABELS", "null"),
    ("PREDICTOR_LABELS", "[" * 100_000),
    ("MODEL_METADATA", "- a list"),
    ("MODEL_METADATA", "text"),
    ("MODEL_METADATA", "null"),
    ("MODEL_METADATA", "{name: [}"),
    ("MODEL_METADATA", "name: !!python/object/apply:os.getcwd []"),
    ("MODEL_METADATA", "name: a\nname: b"),
    ("MODEL_METADATA", "a: &a [1, 1]\n" + "\n".join(f"x{i}: &x{i} [*a, *a, *a, *a]" for i in range(9000))),
    ("MODEL_METADATA", "[" * 1000),
    ("MODEL_METADATA", "name: " + "x" * MAX_BYTES),
    ("MODEL_METADATA", "name: \udcff"),
    ("MODEL_METADATA", "name: \x00"),
]


@pytest.mark.parametrize(("name", "text"), UNREAD, ids=[f"{name}={text[:20]!r}" for name, text in UNREAD])
def test_a_description_that_cannot_be_read_is_left_out_and_told(folder: Path, name: str, text: str) -> None:
    spec = load(folder, {name: text})
    assert spec.unit == UnitSpec()
    (finding,) = spec.diagnostics
    assert (finding.code, finding.severity, finding.origin.name) == ("unread-description", Severity.WARNING, name)


@pytest.mark.parametrize("text", ["", "  ", "# nothing"])
def test_metadata_that_says_nothing_are_none(folder: Path, text: str) -> None:
    spec = load(folder, {"MODEL_METADATA": text})
    assert (spec.unit.metadata, spec.diagnostics) == (None, ())


@pytest.mark.parametrize("row", [row for row in TABLE if row.reading is Reading.BOOLEAN], ids=lambda row: row.name)
def test_a_word_that_is_no_boolean_is_refused(folder: Path, row: Any) -> None:
    with pytest.raises(SpecError) as caught:
        load(folder, {row.name: "perhaps"})
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.origin.name, finding.path) == ("form", row.name, row.path)


def test_the_operator_cannot_be_overruled_by_the_file(folder: Path) -> None:
    (folder / "seldon.yaml").write_text("class_name: MyModel\nunit: {id: x}\n")
    with pytest.raises(SpecError) as caught:
        load(folder, {})
    assert [finding.code for finding in caught.value.diagnostics] == ["unknown-key"]
