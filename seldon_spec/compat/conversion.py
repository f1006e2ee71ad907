"""The functions of ``seldon_core.utils``: messages to JSON and back, arrays to messages and back.

The messages are those of ``seldon_core.proto.prediction_pb2``.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from seldon_spec.compat import prediction_pb2
from seldon_spec.compat.calls import client_custom_tags
from seldon_spec.compat.environment import getenv, getenv_as_bool
from seldon_spec.errors import ComponentFailed, PayloadError, ResultError
from seldon_spec.inference.component.contract import SeldonMicroserviceException, SeldonResponse
from seldon_spec.inference.component.hooks import find_class_names
from seldon_spec.inference.component.response import build_response_message, merge_meta
from seldon_spec.inference.message import Message, Operation, PayloadType
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding, set_encoding
from seldon_spec.protocols.seldon_v1.fast.json_writer import write_plain
from seldon_spec.protocols.seldon_v1.json_message import message_from_tree
from seldon_spec.protocols.seldon_v1.proto.json_form import ERRORS, tree_to_message
from seldon_spec.protocols.seldon_v1.proto_message import build_message, read_message
from seldon_spec.protocols.seldon_v1.raw_messages import to_tree
from seldon_spec.protocols.seldon_v1.tftensor import encode_tftensor

__all__ = [
    "SeldonMicroserviceException",
    "array_to_grpc_datadef",
    "array_to_list_value",
    "array_to_rest_datadef",
    "construct_response",
    "construct_response_json",
    "extract_feedback_request_parts",
    "extract_request_parts",
    "extract_request_parts_json",
    "feedback_to_json",
    "get_data_from_proto",
    "get_meta_from_proto",
    "getenv",
    "getenv_as_bool",
    "grpc_datadef_to_array",
    "json_to_feedback",
    "json_to_seldon_message",
    "json_to_seldon_messages",
    "rest_datadef_to_array",
    "seldon_message_to_json",
    "seldon_messages_to_json",
]

_ENCODINGS = {encoding.value: encoding for encoding in ArrayEncoding}
_JSON_MEMBERS = ("data", "jsonData", "strData", "binData")


@contextmanager
def _as_users_error() -> Generator[None, None, None]:
    """Raise the errors of codecs as the exception that the original raises."""
    try:
        yield
    except (PayloadError, ResultError) as error:
        raise SeldonMicroserviceException(str(error)) from error
    except ComponentFailed as failure:
        raise (failure.__cause__ or failure) from None


def json_to_seldon_message(message_json: Mapping[str, Any] | None) -> Any:
    """Return a SeldonMessage from its JSON; an empty one from None.

    Raises:
        SeldonMicroserviceException: it is no such message.
    """
    return _parse(message_json, prediction_pb2.SeldonMessage())


def json_to_seldon_messages(message_json: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> Any:
    """Return a SeldonMessageList from its JSON, or from the list of its messages.

    Raises:
        SeldonMicroserviceException: it is no such message.
    """
    tree = {"seldonMessages": message_json} if isinstance(message_json, list) else message_json
    return _parse(tree, prediction_pb2.SeldonMessageList())


def json_to_feedback(message_json: Mapping[str, Any] | None) -> Any:
    """Return a Feedback from its JSON.

    Raises:
        SeldonMicroserviceException: it is no such message.
    """
    return _parse(message_json, prediction_pb2.Feedback())


def _parse(tree: Any, message: Any) -> Any:
    try:
        return tree_to_message({} if tree is None else tree, message)
    except ERRORS as error:
        raise SeldonMicroserviceException(f"Invalid JSON: {error}") from error


def seldon_message_to_json(message_proto: Any) -> dict[str, Any]:
    """Return the JSON of a SeldonMessage, without empty members."""
    with _as_users_error():
        tree: dict[str, Any] = to_tree(message_proto)
    return tree


def seldon_messages_to_json(message_protos: Any) -> dict[str, Any]:
    """Return the JSON of a SeldonMessageList, without empty members."""
    return seldon_message_to_json(message_protos)


def feedback_to_json(message_proto: Any) -> dict[str, Any]:
    """Return the JSON of a Feedback, without empty members."""
    return seldon_message_to_json(message_proto)


def get_data_from_proto(request: Any) -> Any:
    """Return the payload of a SeldonMessage as a class's ``predict`` gets it: an array, text, bytes or a JSON value.

    Raises:
        SeldonMicroserviceException: it holds none, or a malformed one.
    """
    return _read_proto(request).payload


def get_meta_from_proto(request: Any) -> dict[str, Any]:
    """Return the ``meta`` of a SeldonMessage as JSON, without empty members."""
    return seldon_message_to_json(request.meta)


def _read_proto(request: Any) -> Message:
    with _as_users_error():
        return read_message(request)


def grpc_datadef_to_array(datadef: Any) -> Any:
    """Return the array in a DefaultData.

    Raises:
        SeldonMicroserviceException: it is malformed.
    """
    message = prediction_pb2.SeldonMessage()
    message.data.MergeFromString(datadef.SerializeToString())
    message.data.SetInParent()
    return get_data_from_proto(message)


def rest_datadef_to_array(datadef: Mapping[str, Any]) -> Any:
    """Return the array in the JSON of a DefaultData.

    Raises:
        SeldonMicroserviceException: it is malformed.
    """
    return extract_request_parts_json({"data": datadef})[0]


def array_to_grpc_datadef(data_type: str, array: Any, names: Iterable[Any] | None = None) -> Any:
    """Return a DefaultData with an array.

    Args:
        data_type: ``tensor``, ``tftensor``, or anything else for ``ndarray``.
        array: of any shape; only numbers for the first two.
        names: the columns' names, in a list or another iterable.

    Raises:
        SeldonMicroserviceException: the array cannot be a part of such a message.
    """
    encoding = _ENCODINGS.get(data_type, ArrayEncoding.NDARRAY)
    with _as_users_error():
        message = build_message(Message(PayloadType.ARRAY, np.asarray(array), _as_list(names), {}, encoding))
    return prediction_pb2.DefaultData.FromString(message.data.SerializeToString())


def _as_list(names: Iterable[Any] | None) -> list[Any]:
    return [] if names is None else list(names)


def array_to_list_value(array: Any) -> Any:
    """Return an array as a ListValue of protobuf, its rows ListValues in turn."""
    return array_to_grpc_datadef("ndarray", array).ndarray


def array_to_rest_datadef(data_type: str, array: Any, names: Iterable[Any] | None = None) -> dict[str, Any]:
    """Return the JSON of a DefaultData with an array; its arguments are those of ``array_to_grpc_datadef``.

    Raises:
        SeldonMicroserviceException: the array cannot be a part of such a message.
    """
    whole = np.asarray(array)
    if data_type == "tensor":
        return {"names": _as_list(names), "tensor": {"shape": list(whole.shape), "values": whole.ravel().tolist()}}
    if data_type == "tftensor":
        with _as_users_error():
            return {"names": _as_list(names), "tftensor": to_tree(encode_tftensor(whole))}
    return {"names": _as_list(names), "ndarray": whole.tolist()}


def extract_request_parts(request: Any) -> tuple[Any, dict[str, Any], Any, str]:
    """Return the parts of a SeldonMessage: payload, meta as JSON, its DefaultData, and the name of the member set.

    Raises:
        SeldonMicroserviceException: it holds no payload, or a malformed one.
    """
    payload = get_data_from_proto(request)
    return payload, get_meta_from_proto(request), request.data, request.WhichOneof("data_oneof")


def extract_request_parts_json(request: Mapping[str, Any]) -> tuple[Any, Any, Any, str]:
    """Return the parts of a message in JSON: payload, meta (None if there is none), the member set, and its name.

    Raises:
        SeldonMicroserviceException: it holds no payload, or a malformed one.
    """
    with _as_users_error():
        message = message_from_tree(request)
    member = next(name for name in _JSON_MEMBERS if name in request)
    return message.payload, message.meta, request[member], member


def extract_feedback_request_parts(request: Any) -> tuple[Any, Any, Any, float]:
    """Return the parts of a Feedback: the DefaultData of its request, the arrays of request and truth, and the reward.

    Raises:
        SeldonMicroserviceException: an array in it is malformed.
    """
    features = grpc_datadef_to_array(request.request.data)
    return request.request.data, features, grpc_datadef_to_array(request.truth.data), request.reward


def construct_response_json(
    user_model: Any,
    is_request: bool,  # noqa: ARG001, FBT001 - the original's, which does not use it for names either
    client_request_raw: Mapping[str, Any],
    client_raw_response: Any,
    meta: dict[str, Any] | None = None,
    custom_metrics: Sequence[Mapping[str, Any]] | None = None,
    runtime_tags: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the response to a message in JSON, in the same form where the result allows it.

    Args:
        user_model: the object, asked for its tags and the names of columns.
        is_request: has no effect.
        client_request_raw: the request.
        client_raw_response: the result, as a method returns it.
        meta: the request's, of which tags, metrics and request path are kept; None: only its puid is.
        custom_metrics, runtime_tags: added to the class's own.

    Raises:
        SeldonMicroserviceException: the result has no form in JSON.
    """
    data = client_request_raw.get("data")
    encoding = None
    if isinstance(data, dict):
        encoding = next((each for name, each in _ENCODINGS.items() if name in data), ArrayEncoding.NDARRAY)
    if meta is None:
        meta = {"puid": (client_request_raw.get("meta") or {}).get("puid")}
    with _as_users_error():
        message = _build_response(user_model, client_raw_response, encoding, meta, custom_metrics, runtime_tags)
        tree: dict[str, Any] = json.loads(write_plain(message, JsonStyle()))
    return tree


def construct_response(
    user_model: Any,
    is_request: bool,  # noqa: ARG001, FBT001 - as above
    client_request: Any,
    client_raw_response: Any,
    meta: dict[str, Any] | None = None,
    custom_metrics: Sequence[Mapping[str, Any]] | None = None,
    runtime_tags: Mapping[str, Any] | None = None,
) -> Any:
    """Return the response to a SeldonMessage as one; its arguments are those of ``construct_response_json``.

    Raises:
        SeldonMicroserviceException: the result has no form in protobuf.
    """
    encoding = None
    if client_request.WhichOneof("data_oneof") == "data":
        encoding = ArrayEncoding(client_request.data.WhichOneof("data_oneof") or "ndarray")
    if meta is None:
        meta = {"puid": client_request.meta.puid}
    with _as_users_error():
        message = _build_response(user_model, client_raw_response, encoding, meta, custom_metrics, runtime_tags)
        return prediction_pb2.SeldonMessage.FromString(build_message(message).SerializeToString())


def _build_response(
    user: Any,
    result: Any,
    encoding: ArrayEncoding | None,
    meta: dict[str, Any],
    metrics: Sequence[Mapping[str, Any]] | None,
    tags: Mapping[str, Any] | None,
) -> Message:
    response = SeldonResponse.create(result)
    request = Message(PayloadType.NOTHING, None, meta=meta, encoding=encoding)
    own_tags = {**client_custom_tags(user), **response.tags, **(tags or {})}
    merged = merge_meta(Operation.PREDICT, request, own_tags, [*(metrics or ()), *response.metrics], {})
    message = build_response_message(response.data, Operation.PREDICT, request, merged, find_class_names(user))
    return set_encoding(message, Operation.PREDICT)
