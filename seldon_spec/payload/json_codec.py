"""The REST wire: a SeldonMessage as JSON.

Integers stay integers here, and a list which the class returned goes out as that list; protobuf can do neither.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError
from seldon_spec.payload.answer import Answer, dress_result
from seldon_spec.payload.array import Array, array_from_nested, array_from_tensor, check_depth
from seldon_spec.payload.json_style import JsonStyle, write_json
from seldon_spec.payload.message import Kind, Message, Result, Verb

_META_MEMBERS: tuple[tuple[str, type, str], ...] = (
    ("tags", dict, "an object"),
    ("metrics", list, "a list"),
    ("requestPath", dict, "an object"),
)


class JsonCodec:
    """Bytes of JSON to a message, and a result to bytes of JSON in one style."""

    def __init__(self, style: JsonStyle | None = None) -> None:
        self._style = style or JsonStyle()

    def decode(self, verb: Verb, wire: bytes) -> Message:
        """Read a request (contract section 4.1).

        Raises:
            PayloadError: the bytes are no JSON, or no message.
        """
        if verb is Verb.HEALTH:  # it is asked with an empty message, and has no body to read
            return Message(Kind.NOTHING, None)
        return _decode_message(_parse(wire))

    def encode(self, result: Result, like: Message) -> bytes:
        """Write an answer (contract sections 4.2 and 4.3).

        Raises:
            ResultError: the class returned something that has no form in JSON.
        """
        answer = dress_result(result, like)
        return write_json({**_member(answer), "meta": answer.meta}, self._style)


def _parse(wire: bytes) -> object:
    try:
        return json.loads(wire.decode("utf-8-sig"))
    except RecursionError as error:
        raise PayloadError("Can't find JSON in data: it is nested too deeply") from error
    except ValueError as error:  # no UTF-8, no JSON, or an integer of thousands of digits
        raise PayloadError(f"Can't find JSON in data: {error}") from error


def _decode_message(tree: object) -> Message:
    if not isinstance(tree, dict):
        raise PayloadError(f"Invalid request data type: {_shown(tree)}")
    meta = _decode_meta(tree)
    if "data" in tree:
        return _decode_data(tree["data"], meta)
    if "jsonData" in tree:
        check_depth(tree["jsonData"])
        return Message(Kind.JSON, tree["jsonData"], meta=meta)
    if "strData" in tree:  # its type is not checked, as in the original
        check_depth(tree["strData"])
        return Message(Kind.TEXT, tree["strData"], meta=meta)
    if "binData" in tree:
        return Message(Kind.BINARY, _decode_base64(tree["binData"]), meta=meta)
    raise PayloadError(f"Invalid request data type: {_shown(tree)}")


def _shown(tree: object) -> str:
    """What was sent, in a form that is short however long it is."""
    if isinstance(tree, dict):
        return f"an object with the keys {sorted(tree)[:10]}" if tree else "{}"
    return f"a list of {len(tree)}" if isinstance(tree, list) else repr(tree)[:100]


def _decode_meta(tree: dict[str, Any]) -> dict[str, Any] | None:
    if "meta" not in tree:
        return None
    meta = tree["meta"]
    if not isinstance(meta, dict):
        raise PayloadError("meta is not an object")
    for key, kind, wanted in _META_MEMBERS:
        if meta.get(key) and not isinstance(meta[key], kind):
            raise PayloadError(f"meta.{key} is not {wanted}")
    check_depth(meta)
    return meta


def _decode_data(data: object, meta: dict[str, Any] | None) -> Message:
    if isinstance(data, (str, list)):  # the original looks for its keys in these, finds none, and goes on
        data = {}
    if not isinstance(data, dict):
        raise PayloadError("data is not an object")
    names = data.get("names", [])
    check_depth(names)
    if "tensor" in data:
        return Message(Kind.TENSOR, _decode_tensor(data["tensor"]), names, meta)
    if "ndarray" in data:
        return Message(Kind.NDARRAY, array_from_nested(data["ndarray"]), names, meta)
    if "tftensor" in data:
        raise PayloadError("data.tftensor is not served yet; send data.tensor or data.ndarray")
    return Message(Kind.NDARRAY, np.array([]), names, meta)


def _decode_tensor(tensor: object) -> Array:
    if not isinstance(tensor, dict):
        raise PayloadError("data.tensor is not an object")
    for key in ("shape", "values"):
        if key not in tensor:
            raise PayloadError(f"data.tensor has no {key}")
    return array_from_tensor(tensor["values"], tensor["shape"], may_infer=True)


def _decode_base64(text: object) -> bytes:
    if not isinstance(text, str):
        raise PayloadError("binData is not text in base64")
    try:
        return base64.b64decode(text)
    except ValueError as error:
        raise PayloadError(f"binData is not base64: {error}") from error


def _member(answer: Answer) -> dict[str, Any]:
    """The one payload member of the message; within ``data`` the payload stands before its names."""
    if answer.kind is Kind.TENSOR:
        tensor = {"shape": list(answer.payload.shape), "values": answer.payload.ravel().tolist()}
        return {"data": {"tensor": tensor, "names": answer.names}}
    if answer.kind is Kind.NDARRAY:
        rows = answer.payload.tolist() if answer.original is None else answer.original
        return {"data": {"ndarray": rows, "names": answer.names}}
    if answer.kind is Kind.BINARY:
        return {answer.kind.value: base64.b64encode(answer.payload).decode("ascii")}
    return {answer.kind.value: answer.payload}
