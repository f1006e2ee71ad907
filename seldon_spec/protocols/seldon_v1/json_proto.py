"""What is protobuf's JSON form on REST: feedback, its response, and TensorFlow's tensors.

A module of its own, so that other requests do not import protobuf.
"""

from __future__ import annotations

import base64
from typing import Any

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array, check_depth
from seldon_spec.inference.message import Message
from seldon_spec.protocols.seldon_v1.base64_data import decode_base64
from seldon_spec.protocols.seldon_v1.proto import Feedback, TensorProto
from seldon_spec.protocols.seldon_v1.proto.json_form import ERRORS, tree_to_message
from seldon_spec.protocols.seldon_v1.proto_message import build_message, check_reward
from seldon_spec.protocols.seldon_v1.raw_messages import to_tree
from seldon_spec.protocols.seldon_v1.tftensor import decode_tftensor, encode_tftensor


def feedback_from_tree(tree: dict[str, Any]) -> Any:
    """Return the Feedback that a JSON object describes.

    Raises:
        PayloadError: it is none.
    """
    check_depth(tree)
    try:
        return check_reward(tree_to_message({key: _with_bytes(part) for key, part in tree.items()}, Feedback()))
    except ERRORS as error:
        raise PayloadError(f"Invalid JSON: {str(error)[:300]}") from error


def _with_bytes(message: Any) -> Any:
    """Return a message of feedback with its ``binData`` in the one form of base64 that protobuf reads correctly."""
    if not isinstance(message, dict) or message.get("binData") is None:
        return message
    return {**message, "binData": base64.b64encode(decode_base64(message["binData"])).decode("ascii")}


def tftensor_from_tree(tree: object, allowance: int) -> Array:
    """Return the array of a TensorProto in JSON form; see ``decode_tftensor``.

    Raises:
        PayloadError: it is none.
    """
    if not isinstance(tree, dict):
        raise PayloadError("data.tftensor is not an object")
    check_depth(tree)
    try:
        tensor = tree_to_message(tree, TensorProto())
    except ERRORS as error:
        raise PayloadError(f"data.tftensor is not a TensorProto: {str(error)[:300]}") from error
    return decode_tftensor(tensor, allowance)


def tftensor_to_tree(array: Array) -> Any:
    """Return an array as a TensorProto in JSON form; see ``encode_tftensor``.

    Raises:
        UnwritableResult: TensorFlow has no type for it.
    """
    return to_tree(encode_tftensor(array))


def message_to_tree(message: Message) -> Any:
    """Return a message in protobuf's JSON form, without empty members.

    Raises:
        ResultError: it has no form in protobuf.
    """
    return to_tree(build_message(message))
