"""The hook for named tensors: ``infer(inputs, parameters=None, context=None)``."""

from __future__ import annotations

import inspect
import logging
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from inspect import Parameter
from typing import Any

import numpy as np

from seldon_spec.config.contract import TensorSpec
from seldon_spec.errors import PayloadError, ResultError
from seldon_spec.inference.arrays import Array, array_from_nested, is_masked
from seldon_spec.inference.component.arguments import make_table_of
from seldon_spec.inference.component.hooks import call_user
from seldon_spec.inference.component.tensors import decode_elements
from seldon_spec.inference.datatypes import BYTES, Datatype, cast_floats, find_datatype, widen_bf16
from seldon_spec.inference.json_default import find_array
from seldon_spec.inference.message import Message, NamedArrays, PayloadType, Tensor, TensorMessage

logger = logging.getLogger(__name__)

DEFAULT_INPUT = "input-0"
DEFAULT_OUTPUT = "output-0"

_VARIABLE = -1
_OPTIONAL = frozenset({"parameters", "context"})
_TEXT_ANNOTATIONS = ("dict", "Dict", "Mapping", "MutableMapping")


def find_infer(user: object, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> InferHook | None:
    """Return the object's ``infer``; None if it has none that takes named tensors.

    It is such a method if inputs are declared, or if its first parameter is annotated as a dict or a Mapping.
    """
    method = getattr(user, "infer", None)
    if not callable(method):
        return None
    if inputs or _takes_mapping(method):
        return InferHook(method, inputs, outputs)
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

    Attributes:
        takes_rows: whether it gets nothing but arrays of any number of rows, so that several requests can share a call.
    """

    def __init__(self, method: Any, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        self._method = method
        self._keywords = _find_keywords(method)
        self._inputs = {spec.name: spec for spec in inputs}
        self._outputs = {spec.name: spec for spec in outputs}
        self._input_types = {spec.name: find_datatype(spec.datatype) for spec in inputs}
        self._output_types = {spec.name: find_datatype(spec.datatype) for spec in outputs}
        self.takes_rows = not self._keywords and all(spec.shape[:1] == (_VARIABLE,) for spec in inputs)

    def __call__(self, message: Message) -> Any:
        """Call the method with the arrays of a message.

        Raises:
            PayloadError: the inputs are not those that are declared.
            ComponentFailed: the method raised.
        """
        arrays = self._read_inputs(message)
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

    def _read_inputs(self, message: Message) -> dict[str, Any]:
        if message.payload_type is PayloadType.TENSORS:
            arrays = {tensor.name: decode_elements(tensor, prefers_text=False) for tensor in message.payload}
            is_exact = True
        else:
            arrays, is_exact = self._name_arrays(message), False
        if not self._inputs:
            return arrays
        for name in arrays:
            if name not in self._inputs:
                raise PayloadError(f"unknown input {name!r:.100}; the inputs are {', '.join(self._inputs)}")
        if is_exact:
            for tensor in message.payload:
                arrays[tensor.name] = _read_bf16(tensor, arrays[tensor.name], self._input_types[tensor.name])
        checked: dict[str, Any] = {}
        for name, spec in self._inputs.items():
            if name in arrays:
                array = _check_input(arrays[name], spec, self._input_types[name], is_exact=is_exact)
                checked[name] = _make_declared(array, spec)
            elif not spec.optional:
                raise PayloadError(f"input {name!r} is missing")
        return checked

    def _name_arrays(self, message: Message) -> dict[str, Any]:
        """Return the payload of a message without tensors by the names of inputs."""
        payload = message.payload
        if message.payload_type is PayloadType.JSON and isinstance(payload, dict):
            return {name: array_from_nested(value) for name, value in payload.items()}
        only = next(iter(self._inputs)) if len(self._inputs) == 1 else DEFAULT_INPUT
        if message.payload_type in (PayloadType.TEXT, PayloadType.BINARY):
            array = np.empty(1, dtype=object)
            array[0] = payload
            return {only: array}
        if not isinstance(payload, np.ndarray):
            raise PayloadError("the request holds no array for the inputs of the model")
        if len(self._inputs) <= 1:
            return {only: payload}
        names = message.names
        if not isinstance(names, list) or payload.ndim != 2 or len(names) != payload.shape[1]:
            raise PayloadError(f"the request has one array; name its columns as the inputs: {', '.join(self._inputs)}")
        return {
            str(name): _read_column(payload[:, index], self._input_types.get(str(name)))
            for index, name in enumerate(names)
        }

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
        arrays = NamedArrays({name: _as_array(value, name) for name, value in result.items()})
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


def _read_bf16(tensor: Tensor, array: Array, datatype: Datatype) -> Array:
    """Return an input of BF16 as float32 unless BF16 is declared, because its array may be bits, of type uint16.

    Raises:
        PayloadError: BF16 is declared, and the client sends integers.
    """
    if tensor.datatype == "BF16":
        return array if datatype.name == "BF16" else widen_bf16(array)
    if datatype.name == "BF16" and array.dtype.kind in "biu":
        raise PayloadError(f"input {tensor.name!r} has the type {array.dtype}, and BF16 is declared")
    return array


def _read_column(column: Array, datatype: Datatype | None) -> Array:
    """Return a column of an array of Seldon's protocol, whose numbers are text if another column holds text.

    Args:
        column: the values.
        datatype: as declared; None: the input is unknown.
    """
    if column.dtype.kind not in "OU" or datatype is None or datatype is BYTES:
        return column
    values = [_read_number(value) if isinstance(value, str) else value for value in column.tolist()]
    try:
        return np.array(values, np.float64 if datatype.limits is None and datatype.name != "BOOL" else None)
    except (ValueError, TypeError, OverflowError):
        return column


def _read_number(text: str) -> object:
    """Return the number, the truth value or the text that a text is."""
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return float(text)
    return {"True": True, "False": False}.get(text, text)


def _check_input(array: Array, spec: TensorSpec, datatype: Datatype, *, is_exact: bool) -> Array:
    """Return an input as it is declared.

    Args:
        array: the input.
        spec: as declared.
        datatype: as declared.
        is_exact: whether the array has the client's datatype, which has to be a safe cast; of other protocols the
            values count.
    """
    what = f"input {spec.name!r}"
    if datatype is BYTES:
        if array.dtype != object:
            if is_exact or array.dtype.kind not in "US":
                raise PayloadError(f"{what} has the type {array.dtype}, and BYTES is declared")
            array = array.astype(object)
        if not is_exact:
            array = _encode_text(array, is_text=spec.content_type == "str")
    elif array.dtype != datatype.dtype:
        if is_exact and not np.can_cast(array.dtype, datatype.dtype, "safe"):
            raise PayloadError(f"{what} has the type {array.dtype}, and {datatype.name} is declared")
        array = _cast(array, datatype, PayloadError, what)
    if not is_exact and array.ndim == 1 and len(spec.shape) == 2 and spec.shape[1] == 1:
        array = array.reshape(-1, 1)  # a column
    if not _fits(array.shape, spec.shape):
        raise PayloadError(f"{what} has the shape {list(array.shape)}, and {list(spec.shape)} is declared")
    return array


def _make_declared(array: Array, spec: TensorSpec) -> Any:
    """Return an input as the table that it is declared ``as``, or the array itself."""
    if spec.as_ in (None, "array"):
        return array
    tensor = Tensor(spec.name, array, spec.datatype, content_type=spec.content_type)
    return make_table_of(tensor, spec.column_names, spec.as_)


def _encode_text(array: Array, *, is_text: bool) -> Array:
    encoded: Array = np.empty(array.size, dtype=object)
    if is_text:
        encoded[:] = [str(item, "utf-8", "replace") if isinstance(item, bytes) else str(item) for item in array.flat]
    else:
        encoded[:] = [item if isinstance(item, bytes) else str(item).encode() for item in array.flat]
    return encoded.reshape(array.shape)


def _fits(shape: Sequence[int], declared: Sequence[int]) -> bool:
    return len(shape) == len(declared) and all(
        wanted in (_VARIABLE, size) for size, wanted in zip(shape, declared, strict=True)
    )


def _as_array(value: Any, name: Any) -> Array:
    if not isinstance(name, str):
        raise ResultError(f"infer returned a dict with the key {name!r:.100}, which is not text")
    if type(value) is np.ndarray:
        return value
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
        array = _cast(array, datatype, ResultError, what)
    if not _fits(array.shape, spec.shape):
        raise ResultError(f"{what} has the shape {list(array.shape)}, and {list(spec.shape)} is declared")
    return array


def _cast(array: Array, datatype: Datatype, error_type: type[PayloadError | ResultError], what: str) -> Array:
    """Return an array in another type that holds the same values; floats may lose digits, integers may not.

    Raises:
        PayloadError, ResultError: it cannot.
    """
    kind = array.dtype.kind
    if datatype.limits is not None:
        low, high = datatype.limits
        is_whole = kind in "biu" or (
            error_type is PayloadError and kind == "f" and bool((np.isfinite(array) & (np.floor(array) == array)).all())
        )
        if is_whole and (not array.size or (int(array.min()) >= low and int(array.max()) <= high)):
            return array.astype(datatype.dtype)
    elif datatype.name == "BOOL":
        if error_type is PayloadError and kind in "iuf" and bool(np.isin(array, (0, 1)).all()):
            return array.astype(np.bool_)
    elif kind in "f" or (kind in "biu" and error_type is PayloadError):
        try:
            return cast_floats(array, datatype)
        except OverflowError:
            pass
    raise error_type(f"{what} of the type {array.dtype} has no form as {datatype.name}, which is declared")
