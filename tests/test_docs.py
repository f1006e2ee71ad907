"""The documentation is complete and up to date: every key, every command, every generated page."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

import seldon_spec
import seldon_spec.cli.options  # registers the commands
from seldon_spec.cli.application import app
from seldon_spec.config.loader import load
from seldon_spec.config.model_files.formats import FORMATS
from seldon_spec.config.model_files.spec import ModelSpec
from seldon_spec.config.schema.lookup import fields, load_schema
from seldon_spec.errors import FieldPath

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "seldon.yaml.example"
PATHS = [path for path, _ in fields()]
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def load_script(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["reference", "variables"])
def test_the_generated_pages_are_up_to_date(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert text == getattr(load_script("make_reference"), f"render_{page}")(), "run scripts/make_reference.py"


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_every_key_has_its_heading(path: FieldPath) -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert f"\n{'###' if path[1:] else '##'} {'.'.join(path)}\n" in text


def test_the_settings_of_flask_come_last() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[1:] == list(dict.fromkeys(headings[1:]))
    assert set(headings[1:]) == set(load_schema()["properties"])
    assert headings[-1] == "flask"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert f"`seldon-spec {command}" in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def test_no_other_command_is_documented() -> None:
    documented = re.findall(
        r"^\| `seldon-spec (\w+)", (ROOT / "docs" / "commands.md").read_text(encoding="utf-8"), re.M
    )
    assert sorted(documented) == COMMANDS


def walk(values: Any, schema: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    """Yield the paths of a file's keys, as deep as the schema names keys."""
    for key, value in values.items():
        yield (*path, key)
        known = schema.get("properties", {}).get(key, {})
        if isinstance(value, dict) and "properties" in known:
            yield from walk(value, known, (*path, key))


def _read_comment(key: str) -> dict[str, Any]:
    """Return the commented keys of the example from this one on: a file has a class, a model file or a graph."""
    _, _, comment = EXAMPLE.read_text(encoding="utf-8").partition(f"\n# {key}:")
    text = "".join(f"{line.removeprefix('# ')}\n" for line in f"# {key}:{comment}".partition("\n\n")[0].splitlines())
    return dict(yaml.safe_load(text))


def _graph_example() -> dict[str, Any]:
    return _read_comment("graph")


def test_the_example_of_a_model_file_is_valid(tmp_path: Path) -> None:
    (tmp_path / "iris.joblib").touch()
    tree = _read_comment("model")  # with the options of all formats
    options = tree["model"]["options"]
    tree["model"]["options"] = {key: options[key] for key in FORMATS[tree["model"]["format"]].options}
    (tmp_path / "seldon.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    spec = load(tmp_path, {})
    assert spec.model == ModelSpec("iris.joblib", "sklearn", "predict_proba")


def test_the_example_of_a_graph_is_valid(tmp_path: Path) -> None:
    classes = {
        "bandit": ("ROUTER", "route"),
        "scaler": ("TRANSFORMER", "transform_input"),
        "iris": ("MODEL", "predict"),
    }
    for name, (service_type, hook) in classes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "seldon.yaml").write_text(f"class_name: A\nservice_type: {service_type}\n")
        (tmp_path / name / "A.py").write_text(
            f"class A:\n    def __init__(self, threshold=0): ...\n    def {hook}(self, X, names): ...\n"
        )
    folder = tmp_path / "graph"
    folder.mkdir()
    source = "class Encoder:\n    def transform_input(self, X, names): ...\n"
    (folder / "Encoder.py").write_text(source)
    for name in ("bandit", "scaler"):
        (tmp_path / name).rename(folder / name)
    (folder / "seldon.yaml").write_text(yaml.safe_dump(_graph_example(), sort_keys=False))
    spec = load(folder, {})
    assert list(spec.components) == ["scaler", "bandit", "iris-1", "encoder", "iris-2", "iris-3"]
    assert spec.diagnostics == ()


def test_the_example_shows_every_key() -> None:
    shown = set(walk(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")), load_schema()))
    commented = walk(_read_comment("model"), load_schema())
    assert set(PATHS) <= shown | set(commented) | {(key,) for key in _graph_example()}


def test_every_line_of_the_example_has_a_comment() -> None:
    bare = [line for line in EXAMPLE.read_text(encoding="utf-8").splitlines() if line.strip() and "#" not in line]
    assert bare == ["  threshold: 0.5", "  MODEL_DIR: /models"]


def test_the_example_is_valid(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path / "seldon.yaml")
    (tmp_path / "requirements.txt").touch()
    source = "class MyModel:\n    def __init__(self, threshold, api_token): ...\n    def predict(self, X): ...\n"
    (tmp_path / "MyModel.py").write_text(source)
    assert load(tmp_path, {}).class_name == "MyModel"


def test_the_example_gives_the_defaults() -> None:
    """Where the schema has a default that the example does not change intentionally, both agree."""
    changed = {("version",), ("parameters",), ("environment",), ("flask", "SECRET_KEY")}
    changed |= {("model", "format"), ("model", "method")}
    example = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    for path, schema in fields():
        if path[0] in _graph_example():
            continue
        value = _read_comment("model") if path[0] == "model" else example
        for key in path:
            value = value[key]
        assert path in changed or "default" not in schema or value == schema["default"], ".".join(path)


def test_the_page_of_the_python_api_has_every_public_name() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert set(seldon_spec.__all__) <= set(re.findall(r"^::: seldon_spec\.(\w+)$", page, re.MULTILINE))


def test_the_images_of_the_terminal_are_current(tmp_path: Path) -> None:
    load_script("make_terminal_images").main(tmp_path)
    for image in sorted(tmp_path.iterdir()):
        assert image.read_text(encoding="utf-8") == (ROOT / "docs" / "images" / image.name).read_text(encoding="utf-8")
    assert any(tmp_path.iterdir())
