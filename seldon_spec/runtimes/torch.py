"""Programs of PyTorch: of TorchScript and of torch.export. They run without the class of the model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seldon_spec import SeldonMicroserviceException
from seldon_spec.config.model_files.spec import ModelOptions
from seldon_spec.config.model_files.torch import TorchContents, read_archive
from seldon_spec.runtimes.estimators import Entry, ModelFileError
from seldon_spec.runtimes.named_inputs import name_inputs

if TYPE_CHECKING:
    import torch

_MAX_MESSAGE = 500
_EMBEDDINGS = ("Embedding", "EmbeddingBag")
_DATATYPES = {
    "float16": "FP16", "float32": "FP32", "float64": "FP64", "bfloat16": "FP32", "bool": "BOOL",
    **{f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
"""The datatype of each type of PyTorch; numpy has no bfloat16."""


def load_model(path: Path, method: str, options: ModelOptions) -> TorchModel:
    """Load a program; see the table of formats."""
    import torch

    torch.set_num_threads(options.threads)
    archive = read_archive(path)
    try:
        if archive is not None and archive.contents is TorchContents.EXPORT:
            return _load_export(path, method, options.device)
        return _load_script(path, method, options.device)
    except ModelFileError:
        raise
    except Exception as error:  # of a damaged file, an older PyTorch or a missing device; they have no common class
        raise ModelFileError(f"{path.name} cannot be loaded: {str(error)[:_MAX_MESSAGE]}") from None


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a program.

    Attributes:
        name: of the argument.
        dtype: of the tensor; None: that of the request.
        shape: -1 for any size; None: it is not known.
    """

    name: str
    dtype: torch.dtype | None
    shape: tuple[int, ...] | None = None


class TorchModel:
    """A program of PyTorch.

    The Open Inference Protocol gets all outputs: a tensor under the name of the method, a tuple as ``output-0``,
    ``output-1`` and so on, and a dictionary under its own names. Seldon's protocol gets the first one.

    Args:
        program: takes the tensors of the inputs in their order.
        inputs: of the program.
        method: ``predict``.
        device: of the tensors.
        outputs: for the contract; empty: the program does not describe them.
        dtype: of floats for an input whose type is not known.
        may_be_absent: the number of last inputs that have defaults.
    """

    def __init__(
        self,
        program: Callable[[Sequence[Any]], Any],
        inputs: Sequence[Input],
        method: str,
        device: str,
        outputs: Mapping[str, Any] | None = None,
        dtype: torch.dtype | None = None,
        may_be_absent: int = 0,
    ) -> None:
        self._program = program
        self._inputs = list(inputs)
        self._method = method
        self._device = device
        self._outputs = dict(outputs or {})
        self._dtype = dtype
        self._required = len(self._inputs) - may_be_absent

    def predict(self, X: Any, names: Sequence[str] | None = None) -> Any:
        inputs = name_inputs(X, names, [each.name for each in self._inputs])
        return next(iter(self.infer(inputs).values()))

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        import torch

        arrays = self._order(inputs)
        with torch.inference_mode():
            tensors = [self._make_tensor(array, each) for array, each in zip(arrays, self._inputs, strict=False)]
            result = name_outputs(self._program(tensors), self._method)
            return {name: _make_array(tensor) for name, tensor in result.items()}

    def contract(self) -> dict[str, Any]:
        """Return its inputs and outputs in the form of seldon.yaml, as far as the program describes them."""
        inputs = [_declare(each.name, each.dtype, each.shape) for each in self._inputs if each.shape is not None]
        outputs = [_declare(name, tensor.dtype, _list_sizes(tensor)) for name, tensor in self._outputs.items()]
        return {"inputs": inputs, "outputs": outputs}

    def _order(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Return the arrays in the order of the arguments: by their names or, if these are others, as they were sent.

        Raises:
            SeldonMicroserviceException: there are too many or too few.
        """
        names = [each.name for each in self._inputs]
        arrays = list(inputs.values())
        if inputs.keys() <= set(names):
            arrays = [inputs[name] for name in names if name in inputs]
        if not self._required <= len(arrays) <= len(names):
            raise SeldonMicroserviceException(
                f"the model has {len(names)} inputs, {', '.join(names)}, and the request {len(arrays)}"
            )
        return arrays

    def _make_tensor(self, array: Any, each: Input) -> Any:
        """Return the tensor of an array, on the device.

        If the type of an input is not known, floats get that of the model, and so do integers of the only input.
        """
        import torch

        array = np.asarray(array)
        if array.dtype.kind not in "biuf":
            raise SeldonMicroserviceException(f"input {each.name}: the model takes numbers, and the request has text")
        dtype = each.dtype
        if dtype is None and (array.dtype.kind == "f" or len(self._inputs) == 1):
            dtype = self._dtype
        return torch.tensor(array, dtype=dtype, device=self._device)


def _load_script(path: Path, method: str, device: str) -> TorchModel:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is: who serves a file has no choice
        module = torch.jit.load(path, map_location=device)
    module.eval()
    arguments = module.forward.schema.arguments[1:]
    if not arguments or str(arguments[0].type) != "Tensor":
        raise ModelFileError(f"{path.name}: the first argument of its forward is no tensor")
    inputs = [Input(each.name, None) for each in arguments if str(each.type) in ("Tensor", "Optional[Tensor]")]
    others = [each.name for each in arguments[len(inputs) :] if not each.has_default_value()]
    if others or [each.name for each in arguments[: len(inputs)]] != [each.name for each in inputs]:
        raise ModelFileError(f"{path.name}: its forward takes arguments that are no tensors")
    absent = sum(each.has_default_value() for each in arguments[: len(inputs)])
    return TorchModel(lambda tensors: module(*tensors), inputs, method, device, None, _find_dtype(module), absent)


def _find_dtype(module: Any) -> Any:
    """Return the type for numbers: integers if the first layer is an embedding, else that of the first floats."""
    import torch

    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            if part.original_name in _EMBEDDINGS:
                return torch.int64
            if parameter.dtype.is_floating_point:
                return parameter.dtype
    return torch.float32


def _load_export(path: Path, method: str, device: str) -> TorchModel:
    import torch
    from torch.export.passes import move_to_device_pass

    exported = move_to_device_pass(torch.export.load(path), device)
    values = {node.name: node.meta.get("val") for node in exported.graph.nodes}
    signature, calls = exported.graph_signature, exported.call_spec
    inputs = []
    for name in signature.user_inputs:
        if not isinstance(values.get(name), torch.Tensor):
            raise ModelFileError(f"{path.name}: the input {name} is no tensor")
        inputs.append(Input(name, values[name].dtype, _list_sizes(values[name])))
    outputs = [values.get(name) for name in signature.user_outputs]
    described: Mapping[str, Any] = {}
    if all(isinstance(value, torch.Tensor) for value in outputs):
        described = name_outputs(calls.out_spec.unflatten(outputs), method)
    module = exported.module()

    def run(tensors: Sequence[Any]) -> Any:
        positional, named = calls.in_spec.unflatten(list(tensors))
        return module(*positional, **named)

    return TorchModel(run, inputs, method, device, described)


def name_outputs(result: Any, method: str) -> dict[str, Any]:
    """Return the tensors that a program returns, by name.

    Raises:
        TypeError: it returns anything else.
    """
    import torch

    if isinstance(result, torch.Tensor):
        return {method: result}
    if isinstance(result, Mapping):
        named = {str(name): value for name, value in result.items()}
    elif isinstance(result, (tuple, list)):
        named = {f"output-{index}": value for index, value in enumerate(result)}
    else:
        raise TypeError(f"the program returned {type(result).__name__}, not tensors")
    wrong = next((name for name, value in named.items() if not isinstance(value, torch.Tensor)), None)
    if wrong is not None or not named:
        raise TypeError(f"the program returned {wrong or 'nothing'}, which is no tensor")
    return named


def _make_array(tensor: Any) -> Any:
    tensor = tensor.cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()
    return tensor.numpy()


def _list_sizes(tensor: Any) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in tensor.shape)


def _declare(name: str, dtype: Any, shape: Sequence[int] | None) -> Entry:
    """Return a tensor in the form of seldon.yaml.

    Raises:
        ModelFileError: no datatype of the protocols has its type.
    """
    datatype = _DATATYPES.get(str(dtype).removeprefix("torch."))
    if datatype is None:
        raise ModelFileError(f"{name} has the type {dtype}, which no request or response can have")
    return {"name": name, "datatype": datatype, "shape": list(shape or ())}
