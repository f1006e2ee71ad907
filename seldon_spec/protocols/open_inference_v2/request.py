"""An inference request in JSON, with binary data behind it, as a message."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import MAX_DEPTH, check_depth
from seldon_spec.inference.datatypes import check_shape, find_datatype
from seldon_spec.inference.message import KeepRows, Tensor
from seldon_spec.protocols.open_inference_v2.binary import Raw, read_binary
from seldon_spec.protocols.open_inference_v2.values import WrongValues, read_values

MAX_TENSORS = 1024

_SCALARS = (str, int, float, bool)
_RESERVED = frozenset(
    {"content_type", "headers", "sequence_id", "sequence_start", "sequence_end", "priority", "timeout"}
)
_SHARED_MEMORY = "shared_memory_region"


class RequestedOutput(NamedTuple):
    """An output that a client requests.

    Attributes:
        name: of the output.
        is_binary: whether it is sent in binary form; None: as the request says for all.
    """

    name: str
    is_binary: bool | None = None


class InferOptions(NamedTuple):
    """What a request says of itself and of its response; the ``encoding`` of its message.

    Attributes:
        id: the client's; None: it sent none.
        outputs: in the order of the response; empty: all.
        is_binary: the form of outputs that do not say it themselves: on REST behind the JSON, on gRPC as raw contents.
        parameters: of the request, without ``binary_data_output``.
        model_name, version: as requested; empty and None: any.
    """

    id: str | None = None
    outputs: tuple[RequestedOutput, ...] = ()
    is_binary: bool = False
    parameters: Mapping[str, Any] = MappingProxyType({})
    model_name: str = ""
    version: str | None = None


def check_tensors(tensors: list[Tensor]) -> None:
    """Check that no two inputs have the same name.

    Raises:
        PayloadError: two have.
    """
    if len(tensors) > 1:
        seen: set[str] = set()
        for tensor in tensors:
            if tensor.name in seen:
                raise PayloadError(f"two inputs have the name {tensor.name!r:.100}")
            seen.add(tensor.name)


def select_tags(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request that its sender defines: all but those that the protocol reserves."""
    return {
        name: value for name, value in parameters.items() if name not in _RESERVED and not name.startswith("triton_")
    }


def read_infer_request(
    tree: object,
    binary: Raw = b"",
    model_name: str | None = None,
    member: str = "inputs",
    keeps_rows: KeepRows = KeepRows.NEVER,
) -> tuple[list[Tensor], InferOptions]:
    """Read an inference request, or a response as a request.

    Args:
        tree: the JSON value; lists of numbers may be arrays already.
        binary: the binary data of inputs, in the order of the inputs; empty if there is none.
        model_name: as requested in the path.
        member: the name of the list of tensors.
        keeps_rows: see ``Request``. Unless it is NEVER, a value of any datatype may be null, not only one of floats; if
            it is IF_MIXED, wrong values are those of ``Tensor.wrong``.

    Returns:
        The tensors; those in binary form are views of ``binary``.

    Raises:
        PayloadError: the request is malformed.
    """
    if not isinstance(tree, dict):
        raise PayloadError("the request is not a JSON object")
    inputs = tree.get(member)
    if not isinstance(inputs, list):
        raise PayloadError(f"the request has no list of {member}")
    if len(inputs) > MAX_TENSORS:
        raise PayloadError(f"the request has more than {MAX_TENSORS} {member}")
    tensors: list[Tensor] = []
    at = 0
    for entry in inputs:
        tensor, at = _read_input(entry, binary, at, keeps_rows)
        tensors.append(tensor)
    if at != len(binary):
        raise PayloadError(f"{len(binary) - at} bytes of binary data belong to no input")
    check_tensors(tensors)
    return tensors, _read_options(tree, model_name or "", is_request=member == "inputs")


def _read_input(entry: object, binary: Raw, at: int, keeps_rows: KeepRows) -> tuple[Tensor, int]:
    """Read an input, whose binary data starts at ``at`` if it has any; return it and where that data ends."""
    if not isinstance(entry, dict):
        raise PayloadError("an input is not an object")
    name = read_name(entry, "an input")
    datatype = find_datatype(entry.get("datatype"))
    shape = check_shape(entry.get("shape"), name)
    parameters = read_parameters(entry.get("parameters"), f"input {name!r:.100}")
    data = entry.get("data")
    if "binary_data_size" not in parameters:
        if data is None:
            hint = "; shared memory is not supported" if _SHARED_MEMORY in parameters else ""
            raise PayloadError(f"input {name!r:.100} has neither data nor binary_data_size{hint}")
        try:
            array = read_values(datatype, shape, data, name, allows_null=keeps_rows is not KeepRows.NEVER)
        except WrongValues as error:
            wrong = PayloadError(str(error))
            if keeps_rows is not KeepRows.IF_MIXED:
                raise wrong from None
            return Tensor(name, error.values.reshape(shape), datatype.name, parameters, wrong=wrong), at
        return Tensor(name, array, datatype.name, parameters), at
    size = parameters["binary_data_size"]
    if data is not None:
        raise PayloadError(f"input {name!r:.100} has both data and binary_data_size")
    if type(size) is not int or size < 0:
        raise PayloadError(f"input {name!r:.100}: binary_data_size is not a number of bytes")
    end = at + size
    if end > len(binary):
        raise PayloadError(f"input {name!r:.100}: its {size} bytes of binary data end beyond the body")
    rest = {key: value for key, value in parameters.items() if key != "binary_data_size"}
    return Tensor(name, read_binary(datatype, shape, binary[at:end], name), datatype.name, rest), end


def read_name(entry: Mapping[str, Any], what: str) -> str:
    """Return the name of an input or an output.

    Raises:
        PayloadError: it has none.
    """
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise PayloadError(f"{what} has no name")
    return name


def read_parameters(value: object, what: str) -> dict[str, Any]:
    """Return the parameters of a request, an input or an output: text, numbers and truth values by name.

    Raises:
        PayloadError: they are no object of such values.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PayloadError(f"the parameters of {what} are not an object")
    for key, item in value.items():
        if not isinstance(item, _SCALARS):
            if key == "headers" and isinstance(item, dict):
                check_depth(item, MAX_DEPTH)
                continue
            raise PayloadError(f"the parameter {key!r:.100} of {what} is not a text, a number or a truth value")
    return value


def _read_options(tree: dict[str, Any], model_name: str, *, is_request: bool) -> InferOptions:
    identifier = tree.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise PayloadError("the id is not a text")
    parameters = read_parameters(tree.get("parameters"), "the request")
    outputs = tree.get("outputs") if is_request else None
    if outputs is None and not parameters:
        return InferOptions(identifier, model_name=model_name)
    is_binary = False
    if "binary_data_output" in parameters:
        is_binary = bool(read_flag(parameters, "binary_data_output", "the request"))
        parameters = {key: value for key, value in parameters.items() if key != "binary_data_output"}
    return InferOptions(identifier, _read_outputs(outputs), is_binary, parameters, model_name)


def _read_outputs(outputs: object) -> tuple[RequestedOutput, ...]:
    if outputs is None:
        return ()
    if not isinstance(outputs, list) or len(outputs) > MAX_TENSORS:
        raise PayloadError("the requested outputs are not a list, or too many")
    requested: list[RequestedOutput] = []
    for entry in outputs:
        if not isinstance(entry, dict):
            raise PayloadError("a requested output is not an object")
        name = read_name(entry, "a requested output")
        parameters = read_parameters(entry.get("parameters"), f"output {name!r:.100}")
        if "classification" in parameters or _SHARED_MEMORY in parameters:
            raise PayloadError(f"output {name!r:.100}: classification and shared memory are not supported")
        requested.append(RequestedOutput(name, read_flag(parameters, "binary_data", f"output {name!r:.100}")))
    if len({output.name for output in requested}) < len(requested):
        raise PayloadError("an output is requested twice")
    return tuple(requested)


def read_flag(parameters: Mapping[str, Any], name: str, what: str) -> bool | None:
    """Return a parameter that is a truth value; None if there is none of that name.

    Raises:
        PayloadError: it is no truth value.
    """
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise PayloadError(f"the parameter {name} of {what} is not a truth value")
    return value
