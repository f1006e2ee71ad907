"""Files of skops, which execute no code of the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from seldon_spec.app import load
from seldon_spec.calls.client import Client
from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.errors import ComponentFailed
from tests.runtimes.conftest import Data, ServeModel

pytestmark = pytest.mark.runtimes


def test_a_file_of_skops_is_served_without_a_note(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    from skops.io import dump

    model = LogisticRegression(max_iter=500).fit(iris.rows, iris.classes)
    dump(model, tmp_path / "iris.skops")
    served = serve_model("iris.skops", method="predict_proba")
    assert served.spec.diagnostics == ()
    rows = iris.rows[:2].tolist()
    assert served.predict(rows)["data"] == {"names": ["0", "1", "2"], "ndarray": model.predict_proba(rows).tolist()}


def test_types_that_skops_does_not_know_have_to_be_trusted(
    tmp_path: Path, iris: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skops.io import dump

    (tmp_path / "halves_of_iris.py").write_text("def halve(rows):\n    return rows / 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    import halves_of_iris  # type: ignore[import-not-found]

    model = make_pipeline(FunctionTransformer(halves_of_iris.halve), LogisticRegression(max_iter=500))
    dump(model.fit(iris.rows, iris.classes), tmp_path / "iris.skops")
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.skops}\n")
    with pytest.raises(ComponentFailed, match=r"does not know: halves_of_iris.halve; add those that you trust"):
        Client(load(tmp_path, {}))
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.skops, options: {trusted: [halves_of_iris.halve]}}\n")
    with Client(load(tmp_path, {})) as client:
        assert client.predict(iris.rows).tolist() == model.predict(iris.rows).tolist()


def test_the_file_says_which_version_wrote_it(tmp_path: Path, iris: Data) -> None:
    import sklearn
    from skops.io import dump

    dump(LogisticRegression(max_iter=500).fit(iris.rows, iris.classes), tmp_path / "iris.skops")
    found = inspect_model(tmp_path / "iris.skops")
    assert found is not None
    assert (found.format, found.is_pickle, dict(found.versions)) == ("sklearn", False, {"sklearn": sklearn.__version__})
