"""A project with a class from the file of a fitted estimator: validates, serves, and declares what the estimator states."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from seldon_spec.cli.main import run

pytestmark = pytest.mark.pages

Serve = Callable[[Path], AbstractContextManager[Any]]

FILES = {"seldon.yaml", "requirements.txt", ".dockerignore", "seldon.schema.json"}

DOUBLER = """
import numpy as np


class Doubler:
    def __init__(self, **attributes):
        vars(self).update(attributes)

    def get_params(self, deep=True):
        return {}

    def predict(self, X):
        return np.asarray(X).sum(axis=1) * 2


class Guesser(Doubler):
    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class Broken(Doubler):
    def predict(self, X):
        raise RuntimeError("out of order")


class Unreadable:
    def __setstate__(self, state):
        raise KeyError("old version")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a module of estimators, which is not imported yet when the command runs."""
    (tmp_path / "estimators.py").write_text(DOUBLER)
    yield tmp_path
    sys.modules.pop("estimators", None)


def _save(folder: Path, kind: str, name: str = "doubler.pkl", **attributes: Any) -> Path:
    """Pickle an estimator of the module in the folder."""
    sys.path.insert(0, str(folder))
    module = import_module("estimators")
    sys.path.pop(0)
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    made = getattr(module, kind)(**attributes)
    made.state = 1
    path.write_bytes(pickle.dumps(made))
    del sys.modules["estimators"]
    return path


def _spec(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "seldon.yaml").read_text())  # type: ignore[no-any-return]


def _predict(server: Any, payload: object) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.http}/predict", json.dumps(payload).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_a_model_in_the_folder_is_served(folder: Path, serve_folder: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    model = _save(folder, "Doubler", n_features_in_=2)
    assert run(["init", str(folder), "--model", str(model), "--class-name", "Served"]) == 0
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        *FILES, "Served.py", "test_Served.py", "doubler.pkl", "estimators.py"
    }  # fmt: skip
    assert run(["validate", "--strict", str(folder)]) == 0
    assert capsys.readouterr().out == ""
    spec = _spec(folder)
    assert (spec["name"], spec["inputs"]) == ("served", ["x0", "x1"])
    assert spec["outputs"] == [{"name": "prediction", "datatype": "FP64", "shape": [-1, 1], "columns": ["prediction"]}]
    assert spec["image"]["model_files"] == ["doubler.pkl"]
    with serve_folder(folder) as server:
        assert _predict(server, {"data": {"ndarray": [[1, 2], [3, 4]]}})["data"]["ndarray"] == [[6.0], [14.0]]


def test_a_new_project_passes_its_own_test(folder: Path) -> None:
    model = _save(folder, "Guesser", "models/guesser.pickle", n_features_in_=2, classes_=_array(["no", "yes"]))
    assert run(["init", str(folder), "--model", str(model), "--class-name", "Fresh"]) == 0
    spec = _spec(folder)
    assert spec["parameters"] == {"model_file": "models/guesser.pickle"}
    assert spec["outputs"] == [
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2], "minimum": 0, "maximum": 1, "columns": ["no", "yes"]}
    ]  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def _array(values: list[Any]) -> Any:
    import numpy as np

    return np.array(values)


LABELS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("text", ["no", "yes"], {"datatype": "BYTES", "content_type": "str", "choices": ["no", "yes"]}),
    ("integers", [1, 2, 3], {"datatype": "INT64", "choices": [1, 2, 3]}),
    ("floats", [0.5, 1.0], {"datatype": "FP64", "choices": [0.5, 1.0]}),
    ("booleans", [False, True], {"datatype": "BOOL"}),
]


@pytest.mark.parametrize(("classes", "output"), [row[1:] for row in LABELS], ids=[row[0] for row in LABELS])
def test_a_classifier_without_probabilities_has_labels(
    classes: list[Any], output: dict[str, Any], folder: Path
) -> None:
    model = _save(folder, "Doubler", n_features_in_=1, classes_=_array(classes))
    assert run(["init", str(folder), "--model", str(model), "--class-name", "Served"]) == 0
    assert _spec(folder)["outputs"] == [{"name": "label", "shape": [-1, 1], "columns": ["label"], **output}]
    assert run(["validate", "--strict", str(folder)]) == 0


def test_a_model_outside_the_folder_is_copied(folder: Path) -> None:
    model = _save(folder, "Doubler", "other-model.pkl", n_features_in_=1)
    new = folder / "new"
    new.mkdir()
    (new / "estimators.py").write_text(DOUBLER)
    assert run(["init", str(new), "--model", str(model), "--class-name", "Served"]) == 0
    assert (new / "other-model.pkl").read_bytes() == model.read_bytes()
    assert (new / "Served.py").is_file()
    assert run(["validate", "--strict", str(new)]) == 0


def test_a_model_that_cannot_predict_its_row_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = _save(folder, "Broken", n_features_in_=1)
    assert run(["init", str(folder), "--model", str(model), "--class-name", "Served"]) == 0
    assert "Broken.predict failed for a row" in (page := capsys.readouterr().err)
    assert "RuntimeError: out of order" in page


def test_nothing_is_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = _save(folder, "Doubler", n_features_in_=1)
    new = folder / "new"
    new.mkdir()
    (new / "estimators.py").write_text(DOUBLER)
    (new / "doubler.pkl").write_text("mine")
    assert run(["init", str(new), "--model", str(model), "--class-name", "Served"]) == 1
    assert "already contains doubler.pkl; nothing was written" in capsys.readouterr().err
    assert {path.name for path in new.iterdir() if path.is_file()} == {"estimators.py", "doubler.pkl"}


def _write_unknown_module(folder: Path) -> Path:
    path = folder / "gone.pkl"
    path.write_bytes(b"csklearn_gone.tree\nTree\n.")
    return path


def _write_text(folder: Path) -> Path:
    path = folder / "text.pkl"
    path.write_text("hello")
    return path


UNREADABLE: list[tuple[str, Callable[[Path], Path], str]] = [
    ("extension", lambda folder: folder / "model.onnx", "the name must end with .joblib, .pkl, .pickle"),
    ("missing", lambda folder: folder / "model.pkl", "there is no file"),
    ("module", _write_unknown_module, "needs the module sklearn_gone, which is not installed"),
    ("text", _write_text, "cannot be loaded with pickle or joblib"),
    ("state", lambda folder: _save(folder, "Unreadable"), "KeyError('old version')"),
    ("no-estimator", lambda folder: _pickled(folder, {"classifier": 1}), "holds a dict, which has no method predict"),
    ("not-fitted", lambda folder: _save(folder, "Doubler"), "neither feature_names_in_ nor n_features_in_"),
]


def _pickled(folder: Path, value: object) -> Path:
    path = folder / "value.pkl"
    path.write_bytes(pickle.dumps(value))
    return path


@pytest.mark.parametrize(("make", "message"), [row[1:] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE])
def test_a_file_without_an_estimator_is_reported(
    make: Callable[[Path], Path], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", str(folder), "--model", str(make(folder)), "--class-name", "Served"]) == 1
    page = capsys.readouterr().err
    assert message in page
    assert "Traceback" not in page
    assert not (folder / "seldon.yaml").exists()


NAMES: list[tuple[str, list[str], str]] = [
    ("empty", ["a", ""], "the name '' of column 1 is not text of 1 to 256 characters"),
    ("spaces", ["  ", "a"], "the name '  ' of column 0 is not text of 1 to 256 characters"),
    ("long", ["a" * 257], "of column 0 is not text of 1 to 256 characters"),
    ("control", ["a\x01"], r"the name 'a\x01' of column 0 has a line break or a control character"),
    ("separator", ["a\u2028b"], r"the name 'a\u2028b' of column 0 has a line break or a control character"),
    ("duplicate", ["a", "b", "a"], "the name 'a' of column 2 occurs twice"),
]


@pytest.mark.parametrize(("names", "message"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
def test_names_that_a_spec_cannot_have_are_reported(
    names: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = _save(folder, "Doubler", feature_names_in_=names)
    assert run(["init", str(folder), "--model", str(model), "--class-name", "Served"]) == 1
    assert message in capsys.readouterr().err
    assert not (folder / "seldon.yaml").exists()


def test_classes_are_names_of_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = _save(folder, "Guesser", n_features_in_=1, classes_=_array(["", "yes"]))
    assert run(["init", str(folder), "--model", str(model), "--class-name", "Served"]) == 1
    assert "the name '' of class 0 is not text" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [["--infer"], ["--service-type", "ROUTER"]], ids=lambda kind: kind[-1])
def test_a_model_file_is_of_a_model(kind: list[str], folder: Path) -> None:
    assert run(["init", str(folder), "--model", str(folder / "x.pkl"), *kind]) == 2


class TestScikitLearn:
    """Estimators of scikit-learn, if it is installed."""

    @pytest.fixture(autouse=True)
    def _needs(self) -> None:
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")

    def _save(self, model: Any, folder: Path) -> Path:
        path = folder / "flowers.joblib"
        import_module("joblib").dump(model, path)
        return path

    def _table(self) -> Any:
        import pandas as pd

        return pd.DataFrame(
            {
                "age": [1.0, 2.0, 3.0, 6.0],
                "job": ["a", "b", "a", "c"],
                "grade": [1, 2, 2, 1],
                "smokes": [True, False, True, False],
                "city": ["u", "v", "u", None],
                "free": ["r", "s", "r", "s"],
                "note": ["p", "q", "p", "q"],
            }
        )

    def _mixed(self) -> Any:
        """A pipeline whose first step treats columns of several types."""
        compose, impute = import_module("sklearn.compose"), import_module("sklearn.impute")
        linear, pre = import_module("sklearn.linear_model"), import_module("sklearn.preprocessing")
        pipeline = import_module("sklearn.pipeline")
        parts = [
            ("numbers", pipeline.make_pipeline(impute.SimpleImputer(), pre.StandardScaler()), ["age"]),
            ("texts", pre.OneHotEncoder(), ["job", "smokes", "city"]),
            ("ordered", pre.OrdinalEncoder(), ["grade"]),
            ("any", pre.OneHotEncoder(handle_unknown="ignore"), ["free"]),
        ]
        model = pipeline.make_pipeline(compose.ColumnTransformer(parts), linear.LogisticRegression())
        return model.fit(self._table(), ["no", "yes", "no", "yes"])

    def test_columns_of_several_types_become_inputs(self, tmp_path: Path) -> None:
        assert (
            run(["init", str(tmp_path), "--model", str(self._save(self._mixed(), tmp_path)), "--class-name", "Served"])
            == 0
        )
        text = {"datatype": "BYTES", "shape": [-1], "content_type": "str"}
        assert _spec(tmp_path)["inputs"] == [
            {"name": "age", "datatype": "FP64", "shape": [-1], "optional": True, "example": 3.0},
            {"name": "job", **text, "choices": ["a", "b", "c"]},
            {"name": "grade", "datatype": "INT64", "shape": [-1], "choices": [1, 2]},
            {"name": "smokes", "datatype": "BOOL", "shape": [-1]},
            {"name": "city", **text, "choices": ["u", "v"], "optional": True},
            {"name": "free", **text, "example": "r"},
        ]
        assert run(["validate", "--strict", str(tmp_path)]) == 0
        assert "def predict(self, X: pd.DataFrame, " in (tmp_path / "Served.py").read_text()

    @pytest.mark.parametrize(
        "selected",
        [[1], slice(1, 2), slice("job", "job"), [False, True, False], None],
        ids=["index", "slice", "labels", "mask", "selector"],
    )
    def test_columns_are_selected_in_any_way(self, selected: Any, tmp_path: Path) -> None:
        compose, pre = import_module("sklearn.compose"), import_module("sklearn.preprocessing")
        linear, pipeline = import_module("sklearn.linear_model"), import_module("sklearn.pipeline")
        table = self._table()[["age", "job", "grade"]]
        chosen = compose.make_column_selector(pattern="job") if selected is None else selected
        parts = compose.ColumnTransformer([("texts", pre.OneHotEncoder(), chosen)], remainder="passthrough")
        model = pipeline.make_pipeline(parts, linear.LogisticRegression()).fit(table, [0, 1, 0, 1])
        assert run(["init", str(tmp_path), "--model", str(self._save(model, tmp_path)), "--class-name", "Served"]) == 0
        inputs = {entry["name"]: entry.get("choices") for entry in _spec(tmp_path)["inputs"]}
        assert inputs == {"age": None, "job": ["a", "b", "c"], "grade": None}

    def test_columns_of_one_type_become_one_input_of_it(self, tmp_path: Path) -> None:
        search, linear = import_module("sklearn.model_selection"), import_module("sklearn.linear_model")
        pre, pipeline = import_module("sklearn.preprocessing"), import_module("sklearn.pipeline")
        compose = import_module("sklearn.compose")
        parts = compose.ColumnTransformer([("texts", pre.OneHotEncoder(), ["job", "free"])])
        steps = pipeline.make_pipeline(parts, linear.LogisticRegression())
        model = search.GridSearchCV(steps, {"logisticregression__C": [0.5, 1.0]}, cv=2, error_score=0.0)
        model.fit(self._table()[["job", "free"]].iloc[[0, 1, 2, 1]], [0, 1, 0, 1])
        assert run(["init", str(tmp_path), "--model", str(self._save(model, tmp_path)), "--class-name", "Served"]) == 0
        columns = [{"name": "job", "choices": ["a", "b"]}, {"name": "free", "choices": ["r", "s"]}]
        assert _spec(tmp_path)["inputs"] == [
            {"name": "input-0", "datatype": "BYTES", "shape": [-1, 2], "content_type": "str", "columns": columns}
        ]
        assert run(["validate", "--strict", str(tmp_path)]) == 0

    def test_dropped_columns_are_no_inputs(self, tmp_path: Path) -> None:
        compose, linear = import_module("sklearn.compose"), import_module("sklearn.linear_model")
        parts = compose.ColumnTransformer([("kept", "passthrough", ["age"]), ("dropped", "drop", "job")])
        pipeline = import_module("sklearn.pipeline").make_pipeline(parts, linear.LinearRegression())
        model = pipeline.fit(self._table()[["age", "job", "grade"]], [0, 1, 0, 1])
        assert run(["init", str(tmp_path), "--model", str(self._save(model, tmp_path)), "--class-name", "Served"]) == 0
        assert _spec(tmp_path)["inputs"] == ["age"]

    def test_requirements_are_the_installed_versions(self, tmp_path: Path) -> None:
        from importlib.metadata import version

        assert (
            run(["init", str(tmp_path), "--model", str(self._save(self._mixed(), tmp_path)), "--class-name", "Served"])
            == 0
        )
        names = ["joblib", "numpy", "pandas", "scikit-learn"]
        assert (tmp_path / "requirements.txt").read_text().split() == [f"{name}=={version(name)}" for name in names]

    def test_a_classifier_of_arrays_is_served(self, tmp_path: Path, serve_folder: Serve) -> None:
        linear, pre = import_module("sklearn.linear_model"), import_module("sklearn.preprocessing")
        pipeline = import_module("sklearn.pipeline")
        model = pipeline.make_pipeline(pre.StandardScaler(), linear.LogisticRegression())
        model.fit([[1.0, 2.0], [3.0, 4.0]], [0, 1])
        assert run(["init", str(tmp_path), "--model", str(self._save(model, tmp_path)), "--class-name", "Served"]) == 0
        columns = [{"name": "x0", "example": 2.0}, {"name": "x1", "example": 3.0}]
        assert _spec(tmp_path)["inputs"] == [
            {"name": "input-0", "datatype": "FP64", "shape": [-1, 2], "columns": columns}
        ]
        with serve_folder(tmp_path) as server:
            [row] = _predict(server, {"data": {"ndarray": [[2.0, 3.0]]}})["data"]["ndarray"]
        assert row == pytest.approx([0.5, 0.5])

    def test_a_classifier_of_a_table_is_served(self, tmp_path: Path, serve_folder: Serve) -> None:
        assert (
            run(["init", str(tmp_path), "--model", str(self._save(self._mixed(), tmp_path)), "--class-name", "Served"])
            == 0
        )
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout
        with serve_folder(tmp_path) as server:
            row = [None, "a", 1, True, None, "new"]
            [found] = _predict(server, {"data": {"ndarray": [row]}})["data"]["ndarray"]
        assert sum(found) == pytest.approx(1)

    @pytest.mark.parametrize("targets", [1, 2], ids=["one target", "two targets"])
    def test_a_regressor_has_numbers(self, targets: int, tmp_path: Path) -> None:
        linear = import_module("sklearn.linear_model")
        target = self._table()[["age", "grade"]] if targets == 2 else self._table()["age"]
        model = linear.LinearRegression().fit(self._table()[["age", "grade"]], target)
        assert run(["init", str(tmp_path), "--model", str(self._save(model, tmp_path)), "--class-name", "Served"]) == 0
        spec = _spec(tmp_path)
        assert spec["inputs"] == ["age", "grade"]
        columns = {"columns": ["prediction"]} if targets == 1 else {}
        shape = [-1, targets]
        assert spec["outputs"] == [{"name": "prediction", "datatype": "FP64", "shape": shape, **columns}]
        assert run(["validate", "--strict", str(tmp_path)]) == 0
