"""The hook for named tensors: ``infer(inputs, parameters=None, context=None)``."""

from __future__ import annotations

import inspect
import logging
import typing
from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import Parameter
from typing import Any

import numpy as np

from seldon_spec.config.contract import TensorSpec
from seldon_spec.errors import PayloadError, ResultError
from seldon_spec.inference.arrays import Array, array_from_nested, is_masked
from seldon_spec.inference.component.arguments import make_table_of
from seldon_spec.inference.component.hooks import call_user
from seldon_spec.inference.component.images import are_images, write_images
from seldon_spec.inference.component.tensors import decode_elements
from seldon_spec.inference.contract.reader import fits_shape
from seldon_spec.inference.contract.validation import RequestValidation
from seldon_spec.inference.datatypes import BOOL, BYTES, Datatype, cast_floats, find_datatype
from seldon_spec.inference.json_default import find_array
from seldon_spec.inference.message import Message, NamedArrays, PayloadType, Tensor, TensorMessage

logger = logging.getLogger(__name__)

DEFAULT_INPUT = "input-0"
DEFAULT_OUTPUT = "output-0"

_VARIABLE = -1
_OPTIONAL = frozenset({"parameters", "context"})
_TEXT_ANNOTATIONS = ("dict", "Dict", "Mapping", "MutableMapping")


def find_infer(
    user: object,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    validation: RequestValidation | None = None,
) -> InferHook | None:
    """Return the object's ``infer``; None if it has none that takes named tensors.

    It is such a method if inputs are declared, or if its first parameter is annotated as a dict or a Mapping.

    Args:
        user: the object.
        inputs, outputs: as declared.
        validation: of the inputs; None: none are declared.
    """
    method = getattr(user, "infer", None)
    if not callable(method):
        return None
    if inputs or _takes_mapping(method):
        return InferHook(method, inputs, outputs, validation)
    logger.warning(
        "%s.infer is not used: declare inputs in seldon.yaml, or annotate its first parameter as a dict, to have it"
        " called with named arrays",
        type(user).__name__,
    )
    return None


def _takes_mapping(method: Any) -> bool:
    try:
        parameters = list(inspect.signature(method).parameters.values())
    except (TypeError, ValueError):
        return False
    if not parameters or parameters[0].annotation is Parameter.empty:
        return False
    annotation = parameters[0].annotation
    try:
        annotation = typing.get_type_hints(method).get(parameters[0].name, annotation)
    except Exception:  # a name in another annotation is not defined
        logger.debug("the annotations of infer cannot be evaluated", exc_info=True)
    if isinstance(annotation, str):
        return annotation.split("[")[0].strip().rpartition(".")[2] in _TEXT_ANNOTATIONS
    origin = typing.get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, Mapping)


class InferHook:
    """The method ``infer`` of an object.

    Args:
        method: the bound method.
        inputs, outputs: as declared; empty: they are not checked.
        validation: of the inputs; None: none are declared.

    Attributes:
        takes_rows: whether it gets nothing but arrays of any number of rows, so that several requests can share a call.
    """

    def __init__(
        self,
        method: Any,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        validation: RequestValidation | None = None,
    ) -> None:
        self._method = method
        self._keywords = _find_keywords(method)
        self._validation = validation
        self._tables = {spec.name: spec for spec in inputs if spec.as_ not in (None, "array")}
        self._outputs = {spec.name: spec for spec in outputs}
        self._output_types = {spec.name: find_datatype(spec.datatype) for spec in outputs}
        self.takes_rows = not self._keywords and all(spec.shape[:1] == (_VARIABLE,) for spec in inputs)

    def __call__(self, message: Message) -> Any:
        """Call the method with the arrays of a message that ``read`` returned.

        Raises:
            PayloadError: elements are not what their content type says.
            ComponentFailed: the method raised.
        """
        is_v2 = isinstance(message, TensorMessage)
        arrays = {tensor.name: self._as_input(tensor, is_v2=is_v2) for tensor in message.payload}
        if not self._keywords:
            return call_user(self._method, arrays)
        given = message if isinstance(message, TensorMessage) else TensorMessage(PayloadType.TENSORS, [])
        values: dict[str, Any] = {}
        if "parameters" in self._keywords:
            values["parameters"] = dict(given.parameters)
        if "context" in self._keywords:
            values["context"] = {
                "id": given.id if given is message else (message.meta or {}).get("puid"),
                "headers": dict(given.headers),
                "version": given.version,
                "outputs": list(given.outputs),
                "inputs": {tensor.name: dict(tensor.parameters) for tensor in given.payload},
            }
        return call_user(self._method, arrays, **values)

    def _as_input(self, tensor: Tensor, *, is_v2: bool) -> Any:
        array, spec = _as_input(tensor, is_v2=is_v2), self._tables.get(tensor.name)
        if spec is None or spec.as_ is None:
            return array
        return make_table_of(replace(tensor, array=array), spec.column_names, spec.as_)

    def read(self, message: Message) -> Message:
        """Return the message of a request as one of the tensors that the method gets.

        Raises:
            PayloadError: the inputs are not those that are declared.
        """
        if self._validation is not None:
            return self._validation.read_tensors(message)
        if message.payload_type is PayloadType.TENSORS:
            return message
        tensors = [Tensor(name, array) for name, array in _name_arrays(message).items()]
        return replace(message, payload_type=PayloadType.TENSORS, payload=tensors, names=[])

    def read_outputs(self, result: Any, requested: Sequence[str]) -> NamedArrays:
        """Return the arrays that the method returned, as they are declared.

        Args:
            result: a dict of arrays, or one array if there is one output.
            requested: the names of the outputs that the client requests; the others may be absent; empty: all.

        Raises:
            ResultError: they are not the declared outputs.
        """
        if not isinstance(result, Mapping):
            if result is None or len(self._outputs) > 1:
                raise ResultError(f"infer returned {type(result).__name__}, not a dict of arrays by name")
            result = {next(iter(self._outputs), DEFAULT_OUTPUT): result}
        arrays = NamedArrays({name: _as_array(value, name, self._outputs.get(name)) for name, value in result.items()})
        if not self._outputs:
            return arrays
        unknown = next((name for name in arrays if name not in self._outputs), None)
        if unknown is not None:
            raise ResultError(f"infer returned output {unknown!r:.100}; the outputs are {', '.join(self._outputs)}")
        for name, spec in self._outputs.items():
            if name in arrays:
                arrays[name] = _check_output(arrays[name], spec, self._output_types[name])
            elif not requested or name in requested:
                raise ResultError(f"infer returned no output {name!r}")
        return arrays


def _find_keywords(method: Any) -> frozenset[str]:
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return frozenset()
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return _OPTIONAL
    return _OPTIONAL.intersection(parameter.name for parameter in parameters)


def _name_arrays(message: Message) -> dict[str, Array]:
    """Return the payload of a message without tensors by the names of inputs.

    Raises:
        PayloadError: it holds no array.
    """
    payload = message.payload
    if message.payload_type is PayloadType.JSON and isinstance(payload, dict):
        return {name: array_from_nested(value) for name, value in payload.items()}
    if message.payload_type in (PayloadType.TEXT, PayloadType.BINARY):
        array = np.empty(1, dtype=object)
        array[0] = payload
        return {DEFAULT_INPUT: array}
    if not isinstance(payload, np.ndarray):
        raise PayloadError("the request holds no array for the inputs of the model")
    return {DEFAULT_INPUT: payload}


def _as_input(tensor: Tensor, *, is_v2: bool) -> Array:
    """Return the array of a tensor; elements of BYTES without a content type are bytes in every protocol."""
    array = decode_elements(tensor, prefers_text=False)
    if is_v2 or tensor.datatype != "BYTES" or tensor.content_type is not None:
        return array
    encoded: Array = np.empty(array.size, dtype=object)
    encoded[:] = [item.encode() if isinstance(item, str) else item for item in array.flat]
    return encoded.reshape(array.shape)


def _as_array(value: Any, name: Any, spec: TensorSpec | None) -> Array:
    if not isinstance(name, str):
        raise ResultError(f"infer returned a dict with the key {name!r:.100}, which is not text")
    if type(value) is np.ndarray:
        return value
    if are_images(value):
        return write_images(value, None if spec is None else spec.content_type)[0]
    array = find_array(value)
    if array is not None:
        return array
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ResultError(f"output {name!r:.100} is no array: {error}") from error


def _check_output(array: Array, spec: TensorSpec, datatype: Datatype) -> Array:
    what = f"output {spec.name!r}"
    if is_masked(array):
        array = np.ma.filled(array.astype(np.float64), np.nan)
    if array.ndim == 0 and len(spec.shape) == 1:
        array = array.reshape(1)
    is_text = array.dtype.kind in "OUSM"
    if is_text != (datatype is BYTES):
        raise ResultError(f"{what} has the type {array.dtype}, and {datatype.name} is declared")
    if not is_text and array.dtype != datatype.dtype:
        array = _cast(array, datatype, what)
    if not fits_shape(array.shape, spec.shape):
        raise ResultError(f"{what} has the shape {list(array.shape)}, and {list(spec.shape)} is declared")
    return array


def _cast(array: Array, datatype: Datatype, what: str) -> Array:
    """Return an array in another type that holds the same values; floats may lose digits, integers may not.

    Raises:
        ResultError: it cannot.
    """
    kind = array.dtype.kind
    if datatype.limits is not None:
        low, high = datatype.limits
        if kind in "biu" and (not array.size or (int(array.min()) >= low and int(array.max()) <= high)):
            return array.astype(datatype.dtype)
    elif datatype is not BOOL and kind == "f":
        try:
            return cast_floats(array, datatype)
        except OverflowError:
            pass
    raise ResultError(f"{what} of the type {array.dtype} has no form as {datatype.name}, which is declared")
