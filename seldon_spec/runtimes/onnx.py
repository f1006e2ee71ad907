"""Models of ONNX, which ONNX Runtime executes."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seldon_spec.config.model_files.onnx import read_classes
from seldon_spec.config.model_files.spec import ModelOptions
from seldon_spec.runtimes.estimators import Entry, ModelFileError

logger = logging.getLogger(__name__)

_CPU = "CPUExecutionProvider"
_ERRORS_ONLY = 3
_MAX_MESSAGE = 500
_TENSOR = re.compile(r"tensor\((\w+)\)")
_TABLE = re.compile(r"seq\(map\(\w+,tensor\((\w+)\)\)\)")
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_TYPES: dict[str, tuple[str, Any]] = {
    "float16": ("FP16", np.float16),
    "float": ("FP32", np.float32),
    "double": ("FP64", np.float64),
    "bool": ("BOOL", np.bool_),
    "string": ("BYTES", np.object_),
    **{name: (name.upper(), np.dtype(name)) for name in _INTEGERS},
}
"""The datatype and numpy's type of each element type."""


def load_model(path: Path, method: str, options: ModelOptions) -> OnnxModel:
    """Load a model; see the table of formats."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = _ERRORS_ONLY
    providers, available = list(options.providers) or [_CPU], onnxruntime.get_available_providers()
    missing = [name for name in providers if name not in available]
    if missing:
        raise ModelFileError(
            f"model.options.providers: this ONNX Runtime has no {', '.join(missing)}; it has {', '.join(available)}"
        )
    try:
        session = onnxruntime.InferenceSession(path, settings, providers=providers)
    except Exception as error:  # of a damaged file; its errors have no common class
        raise ModelFileError(f"{path.name} cannot be loaded: {str(error)[:_MAX_MESSAGE]}") from None
    return OnnxModel(session, method, read_classes(path, path.stat().st_size))


@dataclass(frozen=True, slots=True)
class Value:
    """An input or an output of a session.

    Attributes:
        name: of the value.
        datatype: of its elements.
        dtype: numpy's type of its elements.
        shape: -1 for any size.
        is_table: it is a list with a dictionary for each row, which is served as an array with a column for each key.
    """

    name: str
    datatype: str
    dtype: Any
    shape: tuple[int, ...]
    is_table: bool = False

    def declare(self) -> Entry:
        """Return it in the form of seldon.yaml."""
        entry: Entry = {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}
        return entry | ({"content_type": "str"} if self.datatype == "BYTES" else {})


class OnnxModel:
    """A session of ONNX Runtime.

    The Open Inference Protocol gets all outputs by their names. Seldon's protocol gets one of them: the probabilities
    of a classifier for ``predict_proba``, otherwise the first one.

    Args:
        session: of ONNX Runtime.
        method: ``predict``, ``predict_proba`` or ``transform``.
        classes: of the outputs with a dictionary for each row, by the name of the output.

    Attributes:
        class_names: the classes, if the output of Seldon's protocol has a column for each; otherwise there is none.
    """

    def __init__(self, session: Any, method: str, classes: Mapping[str, Sequence[Any]]) -> None:
        self._session = session
        self._inputs = [_read_value(each, "input") for each in session.get_inputs()]
        self._outputs = _read_outputs(session.get_outputs())
        self._output = _find_probabilities(self._outputs) if method == "predict_proba" else self._outputs[0]
        self._classes = classes
        if self._output.name in classes:
            self.class_names = list(map(str, classes[self._output.name]))

    def predict(self, X: Any, names: Sequence[str] | None = None) -> Any:
        return self._run(self._name_inputs(X, names), [self._output])[self._output.name]

    def transform_input(self, X: Any, names: Sequence[str] | None = None) -> Any:
        return self.predict(X, names)

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return self._run(inputs, self._outputs)

    def contract(self) -> dict[str, Any]:
        """Return its inputs and outputs in the form of seldon.yaml; no outputs if the shape of one is unknown."""
        inputs = [each.declare() for each in self._inputs]
        if any(not each.shape and each.name not in self._classes for each in self._outputs):
            return {"inputs": inputs}
        has_rows = any(each.shape[:1] == (-1,) for each in self._inputs)
        return {"inputs": inputs, "outputs": [self._describe(each, has_rows=has_rows) for each in self._outputs]}

    def _describe(self, output: Value, *, has_rows: bool) -> Entry:
        """Return an output in the form of seldon.yaml. It has the rows of the inputs, even if the file says one row."""
        entry, classes = output.declare(), self._classes.get(output.name)
        if classes is not None:
            entry["shape"] = [-1, len(classes)]
        elif has_rows:
            entry["shape"] = [-1, *output.shape[1:]]
        return entry

    def _name_inputs(self, X: Any, names: Sequence[str] | None) -> Mapping[str, Any]:
        """Return the inputs of a request of Seldon's protocol: arrays by name, one array, or columns of one array."""
        if isinstance(X, Mapping):
            return X
        if len(self._inputs) == 1:
            return {self._inputs[0].name: X}
        columns = list(names or [each.name for each in self._inputs])
        return {name: X[:, index] for index, name in enumerate(columns)}

    def _run(self, inputs: Mapping[str, Any], outputs: Sequence[Value]) -> dict[str, Any]:
        feeds = {each.name: _fit(inputs[each.name], each) for each in self._inputs if each.name in inputs}
        found = self._session.run([each.name for each in outputs], feeds)
        return {
            each.name: self._make_array(value, each) if each.is_table else value
            for each, value in zip(outputs, found, strict=True)
        }

    def _make_array(self, rows: Sequence[Mapping[Any, Any]], output: Value) -> Any:
        keys = self._classes.get(output.name) or (list(rows[0]) if rows else [])
        return np.array([[row[key] for key in keys] for row in rows], output.dtype).reshape(len(rows), len(keys))


def _read_value(argument: Any, what: str) -> Value:
    """Return an input or an output of a session.

    Raises:
        ModelFileError: no array can hold it.
    """
    found = _find_type(argument.type)
    if found is None:
        raise ModelFileError(f"the {what} {argument.name} has the type {argument.type}, which no array can hold")
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in argument.shape)
    return Value(argument.name, *found, shape, is_table=_TABLE.fullmatch(argument.type) is not None)


def _find_type(text: str) -> tuple[str, Any] | None:
    """Return the datatype and numpy's type of the elements of a type; None: no array can hold it."""
    found = _TENSOR.fullmatch(text) or _TABLE.fullmatch(text)
    return None if found is None else _TYPES.get(found[1])


def _read_outputs(arguments: Sequence[Any]) -> list[Value]:
    """Return the outputs that arrays can hold.

    Raises:
        ModelFileError: there is none.
    """
    usable = [each for each in arguments if _find_type(each.type) is not None]
    for each in arguments:
        if each not in usable:
            logger.warning(
                "the output %s has the type %s, which no array can hold: it is not served", each.name, each.type
            )
    if not usable:
        raise ModelFileError("the model has no output that an array can hold")
    return [_read_value(each, "output") for each in usable]


def _find_probabilities(outputs: Sequence[Value]) -> Value:
    """Return the output of a classifier after that of the labels.

    Raises:
        ModelFileError: the model is no classifier.
    """
    if len(outputs) == 2 and outputs[0].datatype in ("INT64", "BYTES"):
        found = outputs[1]
        if found.datatype.startswith("FP") and (found.is_table or len(found.shape) == 2):
            return found
    names = ", ".join(each.name for each in outputs)
    raise ModelFileError(
        f"model.method: the model has no predict_proba: its outputs, {names[:_MAX_MESSAGE]}, are not labels and"
        " probabilities"
    )


def _fit(array: Any, value: Value) -> Any:
    """Return an array as an input takes it."""
    if isinstance(array, np.ma.MaskedArray):
        array = np.ma.filled(array.astype(np.float64), np.nan)
    if value.datatype == "BYTES":
        array = _decode(np.asarray(array, np.object_))
    array = np.asarray(array, value.dtype)
    return array.reshape(-1, 1) if array.ndim == 1 and len(value.shape) == 2 and value.shape[1] == 1 else array


def _decode(array: Any) -> Any:
    """Return an array of elements with those that are bytes as text, which is all that ONNX Runtime takes."""
    texts = [each.decode() if isinstance(each, bytes) else each for each in array.ravel().tolist()]
    return np.array(texts, np.object_).reshape(array.shape)
