"""SavedModels of TensorFlow, called by a signature. Their file describes its inputs and outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seldon_spec import SeldonMicroserviceException
from seldon_spec.config.model_files.spec import ModelOptions
from seldon_spec.config.model_files.tensorflow import (
    Signature,
    SignatureTensor,
    find_saved_model,
    read_saved_model,
)
from seldon_spec.runtimes.estimators import Entry, ModelFileError
from seldon_spec.runtimes.named_inputs import name_inputs

_MAX_MESSAGE = 500
_DTYPES = {"FP16": "float16", "FP32": "float32", "FP64": "float64", "BYTES": "object"}
"""The types of numpy that are not the datatype in lower case."""


def load_model(path: Path, method: str, options: ModelOptions) -> TensorFlowModel:
    """Load a SavedModel; see the table of formats."""
    folder = find_saved_model(path)
    facts = None if folder is None else read_saved_model(folder)
    if folder is None or facts is None:
        raise ModelFileError(f"{path.name} has no SavedModel that can be served")
    signature = facts.signatures.get(options.signature)
    if signature is None:
        known = ", ".join(facts.signatures)
        raise ModelFileError(f"model.options.signature: the SavedModel has no {options.signature}; it has {known}")
    import tensorflow

    device = _set_up(tensorflow, options)
    try:
        with tensorflow.device(device):
            model = tensorflow.saved_model.load(str(folder))
            function = model.signatures[options.signature]
    except Exception as error:  # of damaged variables, or of an operator that is not known
        raise ModelFileError(f"{path.name} cannot be loaded: {str(error)[:_MAX_MESSAGE]}") from None
    return TensorFlowModel(tensorflow, model, function, signature, device)


def _set_up(tensorflow: Any, options: ModelOptions) -> str:
    """Limit the threads, and return the name of the device.

    Raises:
        ModelFileError: there is no such device.
    """
    kind, _, number = options.device.partition(":")
    if kind not in ("cpu", "cuda"):
        raise ModelFileError(f"model.options.device: TensorFlow has no {options.device}; it has cpu and cuda")
    with contextlib.suppress(RuntimeError):  # another model of the process has set them
        tensorflow.config.threading.set_intra_op_parallelism_threads(options.threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        tensorflow.config.set_soft_device_placement(True)
        if kind == "cpu":
            tensorflow.config.set_visible_devices([], "GPU")  # else it reserves the memory of all of them
    if kind == "cpu":
        return "/CPU:0"
    name = f"/GPU:{number or 0}"
    if not any(each.name.endswith(name[1:]) for each in tensorflow.config.list_logical_devices("GPU")):
        raise ModelFileError(f"model.options.device: TensorFlow finds no {options.device}")
    return name


class TensorFlowModel:
    """A signature of a SavedModel.

    The Open Inference Protocol gets all outputs by their names, Seldon's protocol the first one.

    Args:
        tensorflow: the module.
        model: keeps the variables of the function.
        function: takes tensors by name, and returns them.
        signature: the inputs and outputs of the function.
        device: where it runs.
    """

    def __init__(self, tensorflow: Any, model: Any, function: Any, signature: Signature, device: str) -> None:
        self._tensorflow = tensorflow
        self._model = model
        self._function = function
        self._inputs = {each.name: each for each in signature.inputs}
        self._outputs = signature.outputs
        self._device = device
        wrong = next((each.name for each in (*signature.inputs, *signature.outputs) if each.datatype is None), None)
        if wrong is not None:
            raise ModelFileError(f"model.options.signature: {wrong} has a type that no array can hold")

    def predict(self, X: Any, names: Sequence[str] | None = None) -> Any:
        return next(iter(self.infer(name_inputs(X, names, list(self._inputs))).values()))

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if len(inputs) == len(self._inputs) == 1:  # under any name
            inputs = dict(zip(self._inputs, inputs.values(), strict=True))
        if inputs.keys() != self._inputs.keys():
            raise SeldonMicroserviceException(
                f"the model has the inputs {', '.join(self._inputs)}, and the request {', '.join(inputs)[:200]}"
            )
        with self._tensorflow.device(self._device):
            tensors = {name: self._make_tensor(array, self._inputs[name]) for name, array in inputs.items()}
            result = self._function(**tensors)
        return {each.name: _decode(result[each.name].numpy(), each) for each in self._outputs}

    def contract(self) -> dict[str, Any]:
        """Return its inputs and outputs in the form of seldon.yaml, as far as their shapes are known."""
        inputs = [_declare(each) for each in self._inputs.values()]
        outputs = [
            _declare(each) | ({"content_type": "str"} if each.datatype == "BYTES" else {}) for each in self._outputs
        ]
        return {key: entries for key, entries in (("inputs", inputs), ("outputs", outputs)) if _is_known(entries)}

    def _make_tensor(self, array: Any, each: SignatureTensor) -> Any:
        """Return the tensor of an array; a flat array is a column if the input has one column.

        Raises:
            SeldonMicroserviceException: it has text instead of numbers, or numbers instead of text.
        """
        array = np.asarray(array)
        is_text = array.dtype.kind in "OUS"
        if is_text != (each.datatype == "BYTES"):
            wanted, found = ("numbers", "text") if is_text else ("text", "numbers")
            raise SeldonMicroserviceException(
                f"input {each.name}: the model takes {wanted}, and the request has {found}"
            )
        if array.ndim == 1 and each.shape is not None and len(each.shape) == 2 and each.shape[1] == 1:
            array = array.reshape(-1, 1)
        dtype = _DTYPES.get(str(each.datatype), str(each.datatype).lower())
        return self._tensorflow.constant(array.tolist() if is_text else array.astype(dtype, copy=False), _name(dtype))


def _name(dtype: str) -> str:
    """Return the name of a type in TensorFlow."""
    return "string" if dtype == "object" else dtype


def _decode(array: Any, output: SignatureTensor) -> Any:
    """Return the array of an output, with text where all elements are UTF-8."""
    array = np.asarray(array, np.object_ if output.datatype == "BYTES" else None)
    if output.datatype != "BYTES":
        return array
    try:
        texts = [each.decode() for each in array.ravel().tolist()]
    except UnicodeDecodeError:
        return array
    return np.array(texts, np.object_).reshape(array.shape)


def _declare(each: SignatureTensor) -> Entry:
    return {"name": each.name, "datatype": each.datatype, "shape": list(each.shape or ())}


def _is_known(entries: Sequence[Entry]) -> bool:
    """Return whether all tensors have a shape, which is what can be declared."""
    return all(entry["shape"] for entry in entries)
