"""Models of MLflow: folders that ``mlflow.*.save_model`` wrote, loaded as functions of Python."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seldon_spec.config.model_files.spec import ModelOptions
from seldon_spec.runtimes.estimators import Column, Entry, ModelFileError, dense, make_inputs
from seldon_spec.runtimes.threads import limit_jobs, limit_threads

if TYPE_CHECKING:
    import pandas

logger = logging.getLogger(__name__)

_TYPES = {"boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64", "string": "BYTES"}
"""The datatypes of columns; those of MLflow that are not here have none."""

_TIME = "datetime"
_TENSOR = "tensor"
_OUTPUT = "output-1"
"""The name of the only output, as in MLServer."""


def load_model(path: Path, method: str, options: ModelOptions) -> MlflowTableModel | MlflowModel | MlflowTensorsModel:
    """Load a model; see the table of formats. This executes code of the folder."""
    limit_threads(options.threads)  # before and after: only loaded libraries are limited
    try:
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(str(path))
    except ModuleNotFoundError as error:
        if error.name == "mlflow":
            raise
        raise ModelFileError(f"{path.name} needs the module {error.name}, which is not installed") from None
    limit_threads(options.threads)
    with suppress(Exception):  # not every model has an estimator inside
        limit_jobs(model.get_raw_model(), options.threads)
    signature = model.metadata.signature
    schema = _list_specs(None if signature is None else signature.inputs)
    outputs = _list_specs(None if signature is None else signature.outputs)
    if not any(spec["type"] == _TENSOR for spec in schema):
        return MlflowTableModel(model, schema, outputs)
    if len(schema) == 1 and "name" not in schema[0]:
        return MlflowModel(model, schema[0], outputs)
    return MlflowTensorsModel(model, schema, outputs)


def _list_specs(schema: Any) -> list[Entry]:
    """Return the columns or tensors of one side of a signature."""
    return [] if schema is None else schema.to_dict()


class MlflowTableModel:
    """A model that takes a DataFrame: its signature has columns, or it has none.

    Args:
        model: loaded.
        columns: of the inputs in the signature; empty: it has none.
        outputs: of the signature.
    """

    def __init__(self, model: Any, columns: Sequence[Entry], outputs: Sequence[Entry]) -> None:
        self._model = model
        self._columns = columns
        self._outputs = outputs
        self._times = [column["name"] for column in columns if column["type"] == _TIME and "name" in column]

    def predict(self, X: pandas.DataFrame, names: Sequence[str] | None = None) -> Any:
        if self._times:
            import pandas

            times = {name: pandas.to_datetime(X[name]) for name in self._times if name in X}
            return _to_result(self._model.predict(X.assign(**times)))
        return _to_result(self._model.predict(X))

    def contract(self) -> dict[str, Any]:
        """Return its inputs and outputs in the form of seldon.yaml, as far as the signature describes them."""
        return {"inputs": self._describe_inputs(), "outputs": _describe_outputs(self._outputs)}

    def _describe_inputs(self) -> list[Entry]:
        types = [
            _TYPES.get(str(column["type"]), "BYTES" if column["type"] == _TIME else None) for column in self._columns
        ]
        named = [(column, datatype) for column, datatype in zip(self._columns, types, strict=True) if datatype]
        if not named or len(named) < len(types):
            return []
        if not all("name" in column for column, _ in named):
            shape = [-1, len(named)]
            return [] if len(set(types)) > 1 else [{"name": "input-0", "datatype": types[0], "shape": shape}]
        columns = [
            Column(column["name"], datatype, is_optional=not column.get("required", True)) for column, datatype in named
        ]
        try:
            return make_inputs(columns)
        except ModelFileError as error:
            logger.warning("the inputs of the model are not described: %s", error)
            return []


class MlflowModel:
    """A model that takes one array.

    Args:
        model: loaded.
        tensor: its input in the signature.
        outputs: of the signature.
    """

    def __init__(self, model: Any, tensor: Entry, outputs: Sequence[Entry]) -> None:
        self._model = model
        self._tensor = tensor["tensor-spec"]
        self._outputs = outputs
        self._dtype = np.dtype(self._tensor["dtype"])

    def predict(self, X: Any, names: Sequence[str] | None = None) -> Any:
        return _to_result(self._model.predict(np.asarray(X, self._dtype)))

    def contract(self) -> dict[str, Any]:
        """Return its inputs and outputs in the form of seldon.yaml."""
        inputs = _describe_tensor("input-0", self._tensor)
        return {"inputs": inputs, "outputs": _describe_outputs(self._outputs)}


class MlflowTensorsModel:
    """A model that takes arrays by name.

    Args:
        model: loaded.
        tensors: its inputs in the signature.
        outputs: of the signature.
    """

    def __init__(self, model: Any, tensors: Sequence[Entry], outputs: Sequence[Entry]) -> None:
        self._model = model
        self._tensors = tensors
        self._outputs = outputs
        self._dtypes = {tensor["name"]: np.dtype(tensor["tensor-spec"]["dtype"]) for tensor in tensors}

    def infer(self, inputs: dict[str, Any], parameters: Mapping[str, Any] | None = None) -> Any:
        arrays = {name: np.asarray(array, self._dtypes.get(name)) for name, array in inputs.items()}
        result = _to_result(self._model.predict(arrays))
        if hasattr(result, "columns"):
            return {str(name): result[name].to_numpy() for name in result.columns}
        return result if isinstance(result, dict) else {_OUTPUT: np.asarray(result)}

    def contract(self) -> dict[str, Any]:
        """Return its inputs and outputs in the form of seldon.yaml."""
        inputs = [each for spec in self._tensors for each in _describe_tensor(spec["name"], spec["tensor-spec"])]
        is_complete = len(inputs) == len(self._tensors)
        return {"inputs": inputs if is_complete else [], "outputs": _list_outputs(self._outputs)}


def _to_result(result: Any) -> Any:
    """Return what a model returned as an array, a DataFrame, a dict or a list."""
    if type(result).__name__ == "Series":
        return result.to_numpy()
    return dense(result)


_DATATYPES = {"float16": "FP16", "float32": "FP32", "float64": "FP64", "bool": "BOOL"} | {
    f"{kind}{bits}": f"{kind.upper()}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}


def _describe_tensor(name: str, tensor: Mapping[str, Any]) -> list[Entry]:
    """Return a tensor of a signature; none of an unknown datatype."""
    datatype = _DATATYPES.get(str(tensor["dtype"]))
    shape = list(tensor["shape"])
    if datatype is None or not shape:
        return []
    return [{"name": name, "datatype": datatype, "shape": shape}]


def _describe_outputs(specs: Sequence[Entry]) -> list[Entry]:
    """Return the outputs of a signature; none if one of them cannot be declared. One value for each row is a column."""
    found = _list_outputs(specs)
    if len(found) == 1 and found[0]["shape"] == [-1]:
        found[0]["shape"] = [-1, 1]
    return found


def _list_outputs(specs: Sequence[Entry]) -> list[Entry]:
    found: list[Entry] = []
    for spec in specs:
        name = spec.get("name", _OUTPUT)
        if spec["type"] == _TENSOR:
            found += _describe_tensor(name, spec["tensor-spec"])
        elif spec["type"] in _TYPES:
            datatype = _TYPES[spec["type"]]
            text = {"content_type": "str"} if datatype == "BYTES" else {}
            found.append({"name": name, "datatype": datatype, "shape": [-1], **text})
    return found if len(found) == len(specs) else []
