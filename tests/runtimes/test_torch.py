"""Programs of PyTorch: results are those of the module, and an exported program describes its contract.

The environment of these tests has no PyTorch, whose package for Linux brings the libraries of GPUs.
"""

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
from tests.runtimes.conftest import ServeModel

pytestmark = [pytest.mark.runtimes, pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")]

torch: Any = pytest.importorskip("torch")

ROWS = [[5.1, 3.5, 1.4, 0.2], [0.1, -0.3, 0.2, 0.4]]
FILES = ["model.pt", "model.pt2"]


class Classifier(torch.nn.Module):  # type: ignore[misc]
    """Returns probabilities."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(4, 3)
        self.dropout = torch.nn.Dropout()

    def forward(self, x: Any) -> Any:
        return torch.softmax(self.linear(self.dropout(x)), 1)


class Sums(torch.nn.Module):  # type: ignore[misc]
    """Returns several tensors."""

    def forward(self, left: Any, right: Any) -> Any:
        return left + right, left - right


class Named(torch.nn.Module):  # type: ignore[misc]
    """Returns tensors by name."""

    def forward(self, x: Any) -> Any:
        return {"double": x * 2, "half": x / 2}


class Words(torch.nn.Module):  # type: ignore[misc]
    """Takes the numbers of words."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = torch.nn.Embedding(10, 2)

    def forward(self, numbers: Any) -> Any:
        return self.words(numbers).mean(1)


def _save(module: Any, file: Path, *arrays: Any) -> Any:
    """Write a program of TorchScript or, with the suffix .pt2, of torch.export; return the function that it is."""
    module.eval()
    tensors = tuple(torch.tensor(array) for array in arrays)
    if file.suffix == ".pt2":
        rows = torch.export.Dim("rows")
        shapes = tuple({0: rows} for _ in tensors)
        torch.export.save(torch.export.export(module, tensors, dynamic_shapes=shapes), file)
    else:
        torch.jit.save(torch.jit.trace(module, tensors, strict=False), file)
    return lambda *values: module(*(torch.tensor(value) for value in values))


def _floats(rows: Any) -> Any:
    return np.array(rows, np.float32)


@pytest.mark.parametrize("file", FILES)
def test_a_program_is_served_by_both_protocols(tmp_path: Path, serve_model: ServeModel, file: str) -> None:
    call = _save(Classifier(), tmp_path / file, _floats(ROWS))
    expected = call(_floats(ROWS)).detach().numpy()
    served = serve_model(file, options={"threads": 2, "device": "cpu"})
    found = served.predict(ROWS)["data"]["ndarray"]
    assert np.array(found) == pytest.approx(expected, abs=1e-6)
    (output,) = served.infer(ROWS)["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("predict", "FP32", [2, 3])
    assert output["data"] == pytest.approx(expected.ravel(), abs=1e-6)
    found = served.predict([[1, 2, 3, 4]])["data"]["ndarray"]
    assert np.array(found) == pytest.approx(call(_floats([[1, 2, 3, 4]])).detach().numpy(), abs=1e-6)


def test_an_exported_program_describes_its_contract(tmp_path: Path, serve_model: ServeModel) -> None:
    _save(Classifier(), tmp_path / "model.pt2", _floats(ROWS))
    metadata = serve_model("model.pt2").metadata()
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert metadata["outputs"] == [{"name": "predict", "datatype": "FP32", "shape": [-1, 3]}]


def test_a_program_of_torchscript_describes_nothing(tmp_path: Path, serve_model: ServeModel) -> None:
    _save(Classifier(), tmp_path / "model.pt", _floats(ROWS))
    assert serve_model("model.pt").metadata()["inputs"] == []


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("names", [["left", "right"], ["right", "left"]], ids=["in-order", "swapped"])
def test_several_inputs_are_named_tensors(tmp_path: Path, serve_model: ServeModel, file: str, names: list[str]) -> None:
    _save(Sums(), tmp_path / file, _floats(ROWS), _floats(ROWS))
    values = {"left": [[4.0, 3.0, 2.0, 1.0]], "right": [[1.0, 1.0, 1.0, 1.0]]}
    tensors = [{"name": name, "datatype": "FP64", "shape": [1, 4], "data": values[name][0]} for name in names]
    served = serve_model(file)
    outputs = served.post("/v2/models/iris/infer", {"inputs": tensors})["outputs"]
    assert [(each["name"], each["data"]) for each in outputs] == [
        ("output-0", [5.0, 4.0, 3.0, 2.0]), ("output-1", [3.0, 2.0, 1.0, 0.0]),
    ]  # fmt: skip
    data = served.post("/predict", {"jsonData": values})["data"]
    assert data["tensor"]["values"] == [5.0, 4.0, 3.0, 2.0]


def test_tensors_with_other_names_are_the_arguments_in_order(tmp_path: Path, serve_model: ServeModel) -> None:
    _save(Sums(), tmp_path / "model.pt", _floats(ROWS), _floats(ROWS))
    served = serve_model("model.pt")
    tensors = [
        {"name": f"INPUT__{index}", "datatype": "FP32", "shape": [1, 1], "data": [value]}
        for index, value in enumerate((4.0, 1.0))
    ]
    outputs = served.post("/v2/models/iris/infer", {"inputs": tensors})["outputs"]
    assert [each["data"] for each in outputs] == [[5.0], [3.0]]
    problem = served.post("/v2/models/iris/infer", {"inputs": tensors[:1]}, 400)
    assert "the model has 2 inputs, left, right, and the request 1" in problem["error"]
    texts = [{**each, "datatype": "BYTES", "data": ["a"]} for each in tensors]
    assert "the model takes numbers" in served.post("/v2/models/iris/infer", {"inputs": texts}, 400)["error"]


@pytest.mark.parametrize("file", FILES)
def test_a_dictionary_names_the_outputs(tmp_path: Path, serve_model: ServeModel, file: str) -> None:
    _save(Named(), tmp_path / file, _floats(ROWS))
    served = serve_model(file)
    outputs = served.infer([[4.0]] if file == "model.pt" else [[4.0, 4.0, 4.0, 4.0]])["outputs"]
    assert {each["name"]: each["data"][0] for each in outputs} == {"double": 8.0, "half": 2.0}


@pytest.mark.parametrize("file", FILES)
def test_an_embedding_takes_integers(tmp_path: Path, serve_model: ServeModel, file: str) -> None:
    call = _save(Words(), tmp_path / file, [[1, 2, 3], [4, 5, 6]])
    served = serve_model(file)
    expected = call([[7, 8, 9]]).detach().numpy()
    assert np.array(served.predict([[7, 8, 9]])["data"]["ndarray"]) == pytest.approx(expected)
    (output,) = served.infer([[7, 8, 9]], "INT64")["outputs"]
    assert output["data"] == pytest.approx(expected.ravel())


@pytest.mark.parametrize(("file", "is_batched"), [("model.pt", False), ("model.pt2", True)], ids=FILES)
def test_requests_share_a_call_if_the_program_says_that_it_takes_any_number_of_rows(
    tmp_path: Path, file: str, is_batched: bool
) -> None:
    from seldon_spec.inference.assembly import dispatcher_for

    _save(Classifier(), tmp_path / file, _floats(ROWS))
    (tmp_path / "seldon.yaml").write_text(f"model: {{path: {file}}}\n")
    dispatcher = dispatcher_for(load(tmp_path, {}))
    component = dispatcher.start().result(60)
    dispatcher.stop()
    assert bool(component.batchable) is is_batched


def test_an_exported_program_passes_its_contract_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _save(Sums(), tmp_path / "model.pt2", _floats(ROWS), _floats(ROWS))
    (tmp_path / "seldon.yaml").write_text("model: {path: model.pt2}\n")
    assert run(["test", str(tmp_path), "--requests", "5"]) == 0, capsys.readouterr()


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    for file in FILES:
        _save(Classifier(), tmp_path / file, _floats(ROWS))
    script, exported = (inspect_model(tmp_path / file) for file in FILES)
    assert script is not None
    assert exported is not None
    assert (script.format, script.kind, dict(script.versions)) == ("torch", "a program of TorchScript", {})
    assert (exported.format, exported.kind) == ("torch", "a program of torch.export")
    assert exported.versions["torch"] == torch.__version__.partition("+")[0]
    assert script.is_program
    assert exported.is_program


@pytest.mark.parametrize("is_module", [False, True], ids=["state_dict", "module"])
def test_weights_without_a_program_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_module: bool
) -> None:
    module = Classifier()
    torch.save(module if is_module else module.state_dict(), tmp_path / "model.pt")
    (tmp_path / "seldon.yaml").write_text("model: {path: model.pt}\n")
    assert run(["validate", str(tmp_path)]) == 1
    shown = capsys.readouterr().err
    assert "found: weights or a pickled module of PyTorch, without a program" in shown
    assert "help: save the model with torch.export.save or torch.jit.save" in shown


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_cannot_be_loaded(tmp_path: Path, file: str) -> None:
    _save(Classifier(), tmp_path / file, _floats(ROWS))
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: len(whole) // 2])
    (tmp_path / "seldon.yaml").write_text(f"model: {{path: {file}}}\n")
    with pytest.raises(ComponentFailed, match=rf"^{file} cannot be loaded: "):
        Client(load(tmp_path, {}))


def test_a_device_that_is_missing_is_an_error(tmp_path: Path) -> None:
    _save(Classifier(), tmp_path / "model.pt", _floats(ROWS))
    (tmp_path / "seldon.yaml").write_text("model: {path: model.pt, options: {device: 'cuda:7'}}\n")
    with pytest.raises(ComponentFailed, match=r"^model\.pt cannot be loaded: "):
        Client(load(tmp_path, {}))


def test_an_argument_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    class Scaled(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor, factor: float) -> torch.Tensor:
            return x * factor

    torch.jit.save(torch.jit.script(Scaled()), tmp_path / "model.pt")
    (tmp_path / "seldon.yaml").write_text("model: {path: model.pt}\n")
    with pytest.raises(ComponentFailed, match=r"its forward takes arguments that are no tensors"):
        Client(load(tmp_path, {}))
