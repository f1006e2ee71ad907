"""SavedModels of TensorFlow: results are those of the signature, whose tensors are the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seldon_spec.app import load
from seldon_spec.calls.client import Client
from seldon_spec.cli.main import run
from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.errors import ComponentFailed
from tests.conftest import Serve
from tests.runtimes.conftest import ServeModel

pytestmark = [
    pytest.mark.runtimes,
    pytest.mark.filterwarnings("default"),  # of TensorFlow and of what it imports
]

tensorflow: Any = pytest.importorskip("tensorflow")

ROWS = [[5.1, 3.5], [0.1, -0.3]]
WEIGHTS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)


def _spec(shape: list[int | None], dtype: str, name: str) -> Any:
    return tensorflow.TensorSpec(shape, dtype, name)


class Net(tensorflow.Module):  # type: ignore[misc]
    """Has a signature of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tensorflow.Variable(WEIGHTS)

    @tensorflow.function(input_signature=[_spec([None, 2], "float32", "points")])  # type: ignore[untyped-decorator]
    def score(self, points: Any) -> Any:
        scores = points @ self.weights
        return {"scores": scores, "best": tensorflow.argmax(scores, 1)}

    @tensorflow.function(input_signature=[_spec([None], "string", "texts")])  # type: ignore[untyped-decorator]
    def shout(self, texts: Any) -> Any:
        return {"loud": tensorflow.strings.upper(texts)}

    @tensorflow.function(  # type: ignore[untyped-decorator]
        input_signature=[_spec([None, 1], "float64", "left"), _spec([None, 1], "int32", "right")]
    )
    def add(self, left: Any, right: Any) -> Any:
        return {"sum": left + tensorflow.cast(right, "float64")}


def _save(folder: Path) -> Path:
    net = Net()
    signatures = {"serving_default": net.score, "shout": net.shout, "add": net.add}
    tensorflow.saved_model.save(net, str(folder), signatures=signatures)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model ``net``."""
    folder = tmp_path_factory.mktemp("saved")
    _save(folder / "net")
    return folder


@pytest.fixture
def net(saved: Path, tmp_path: Path) -> Path:
    """The model in the folder of a test."""
    import shutil

    return Path(shutil.copytree(saved / "net", tmp_path / "net"))


@pytest.mark.usefixtures("net")
def test_a_signature_is_served_by_both_protocols(serve_model: ServeModel) -> None:
    expected = np.array(ROWS, np.float32) @ WEIGHTS
    served = serve_model("net", options={"threads": 1})
    outputs = {each["name"]: each for each in served.infer(ROWS)["outputs"]}
    assert [(name, each["datatype"], each["shape"]) for name, each in outputs.items()] == [
        ("best", "INT64", [2]), ("scores", "FP32", [2, 3]),
    ]  # fmt: skip
    assert outputs["scores"]["data"] == pytest.approx(expected.ravel())
    assert served.predict(ROWS)["data"]["ndarray"] == expected.argmax(axis=1).tolist()
    problem = served.infer([[1.0, 2.0, 3.0]], status=400)["error"]
    assert "the shape [1, 3] does not match [-1, 2]" in problem


@pytest.mark.usefixtures("net")
def test_the_signature_is_the_contract(serve_model: ServeModel) -> None:
    metadata = serve_model("net").metadata()
    assert metadata["inputs"] == [{"name": "points", "datatype": "FP32", "shape": [-1, 2]}]
    assert metadata["outputs"] == [
        {"name": "best", "datatype": "INT64", "shape": [-1]},
        {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
    ]


@pytest.mark.usefixtures("net")
def test_another_signature_takes_text(serve_model: ServeModel) -> None:
    served = serve_model("net", options={"signature": "shout"})
    (output,) = served.infer(["a", "bc"], "BYTES")["outputs"]
    assert (output["name"], output["datatype"], output["data"]) == ("loud", "BYTES", ["A", "BC"])
    assert served.predict(["a", "bc"])["data"]["ndarray"] == ["A", "BC"]
    assert served.predict([["a"], ["bc"]])["data"]["ndarray"] == ["A", "BC"]
    assert served.infer([[1.0]], status=400)["error"]


@pytest.mark.usefixtures("net")
def test_several_inputs_are_named_tensors(serve_model: ServeModel) -> None:
    served = serve_model("net", options={"signature": "add"})
    tensors = [
        {"name": "right", "datatype": "INT32", "shape": [2, 1], "data": [1, 2]},
        {"name": "left", "datatype": "FP64", "shape": [2, 1], "data": [0.5, 0.25]},
    ]
    (output,) = served.post("/v2/models/iris/infer", {"inputs": tensors})["outputs"]
    assert (output["name"], output["shape"], output["data"]) == ("sum", [2, 1], [1.5, 2.25])
    data = served.predict([[0.5, 1], [0.25, 2]], ["left", "right"])["data"]
    assert np.ravel(data["ndarray"]).tolist() == [1.5, 2.25]
    assert served.post("/v2/models/iris/infer", {"inputs": tensors[:1]}, 400)["error"]


def test_a_model_of_keras_is_served_after_its_export(tmp_path: Path, serve_model: ServeModel) -> None:
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    model.export(tmp_path / "net", verbose=False)
    (output,) = serve_model("net").infer(ROWS)["outputs"]
    assert output["data"] == pytest.approx(np.ravel(model(np.array(ROWS, np.float32))), abs=1e-6)


def test_the_highest_version_is_served(tmp_path: Path, saved: Path, serve_model: ServeModel) -> None:
    import shutil

    for number in ("2", "10"):
        shutil.copytree(saved / "net", tmp_path / "models" / number)
    (tmp_path / "models" / "2" / "saved_model.pb").write_bytes(b"")
    assert serve_model("models").predict(ROWS)["data"]["ndarray"] == [2, 0]


@pytest.mark.usefixtures("net")
def test_the_folder_says_what_it_is(tmp_path: Path) -> None:
    found = inspect_model(tmp_path / "net")
    assert found is not None
    assert (found.format, found.versions["tensorflow"]) == ("tensorflow", tensorflow.__version__)


@pytest.mark.parametrize(("signature", "is_batched"), [("serving_default", True), ("shout", True)])
@pytest.mark.usefixtures("net")
def test_requests_share_a_call_if_the_signature_takes_any_number_of_rows(
    tmp_path: Path, signature: str, *, is_batched: bool
) -> None:
    from seldon_spec.inference.assembly import dispatcher_for

    (tmp_path / "seldon.yaml").write_text(f"model: {{path: net, options: {{signature: {signature}}}}}\n")
    dispatcher = dispatcher_for(load(tmp_path, {}))
    component = dispatcher.start().result(60)
    dispatcher.stop()
    assert bool(component.batchable) is is_batched


@pytest.mark.parametrize("signature", ["serving_default", "add"])
@pytest.mark.usefixtures("net")
def test_a_model_passes_its_contract_test(tmp_path: Path, capsys: pytest.CaptureFixture[str], signature: str) -> None:
    (tmp_path / "seldon.yaml").write_text(f"model: {{path: net, options: {{signature: {signature}}}}}\n")
    assert run(["test", str(tmp_path), "--requests", "5"]) == 0, capsys.readouterr()


REFUSED = {
    "cuda": ("device: 'cuda:7'", "model.options.device: TensorFlow finds no cuda:7"),
    "mps": ("device: mps", "model.options.device: TensorFlow has no mps; it has cpu and cuda"),
}


@pytest.mark.parametrize(("options", "text"), REFUSED.values(), ids=REFUSED)
@pytest.mark.usefixtures("net")
def test_a_device_that_is_missing_is_an_error(tmp_path: Path, options: str, text: str) -> None:
    (tmp_path / "seldon.yaml").write_text(f"model: {{path: net, options: {{{options}}}}}\n")
    with pytest.raises(ComponentFailed) as failure:
        Client(load(tmp_path, {}))
    assert str(failure.value) == text


def test_damaged_variables_cannot_be_loaded(tmp_path: Path, net: Path) -> None:
    (net / "variables" / "variables.index").write_bytes(b"")
    (tmp_path / "seldon.yaml").write_text("model: {path: net}\n")
    with pytest.raises(ComponentFailed, match=r"^net cannot be loaded: "):
        Client(load(tmp_path, {}))


@pytest.mark.usefixtures("net")
def test_a_server_responds_over_both_transports(tmp_path: Path, serve_folder: Serve) -> None:
    (tmp_path / "seldon.yaml").write_text("model: {path: net}\n")
    expected = np.array(ROWS, np.float32) @ WEIGHTS
    with serve_folder(tmp_path) as server:
        for target in (f"http://127.0.0.1:{server.http}", f"grpc://127.0.0.1:{server.grpc}"):
            with Client(target) as client:
                outputs = client.infer({"points": np.array(ROWS, np.float32)})
                found = client.predict(ROWS)
            assert outputs["scores"] == pytest.approx(expected)
            assert np.ravel(found).tolist() == expected.argmax(axis=1).tolist()
