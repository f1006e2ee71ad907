"""Requests and responses of Seldon's protocol, by the server's codecs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seldon_spec.calls.errors import CallFailed
from seldon_spec.calls.target import Incoming
from seldon_spec.calls.values import find_kept_rows
from seldon_spec.errors import PayloadError
from seldon_spec.inference.message import Message, Operation
from seldon_spec.protocols.seldon_v1.array_encoding import set_encoding
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec


def encode_feedback(
    codec: JsonCodec | ProtoCodec, request: Message, reward: float, truth: Message | None, meta: Mapping[str, Any]
) -> bytes:
    """Return a Feedback.

    Args:
        codec: of the transport.
        request: the earlier request.
        reward: of its response.
        truth: the correct response; None: it is not known.
        meta: of the response, which has the branches that routers have chosen.

    Raises:
        ResultError: a part has no form in the encoding.
    """
    response = {"meta": {name: meta[name] for name in ("puid", "routing") if meta.get(name)}}
    if isinstance(codec, JsonCodec):
        parts = {"request": codec.write_request(request)}
        if truth is not None:
            parts["truth"] = codec.write_request(truth)
        members = {**{name: text.decode().strip() for name, text in parts.items()}, "response": json.dumps(response)}
        text = "".join(f', "{name}": {member}' for name, member in members.items())
        return f'{{"reward": {float(reward)!r}{text}}}'.encode()
    from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage
    from seldon_spec.protocols.seldon_v1.proto.json_form import tree_to_message
    from seldon_spec.protocols.seldon_v1.proto_message import build_message

    feedback = Feedback(
        request=build_message(set_encoding(request, Operation.PREDICT)),
        response=tree_to_message(response, SeldonMessage()),
        reward=reward,
    )
    if truth is not None:
        feedback.truth.CopyFrom(build_message(set_encoding(truth, Operation.PREDICT)))
    encoded: bytes = feedback.SerializeToString()
    return encoded


def decode(codec: JsonCodec | ProtoCodec, response: Incoming, sent: object) -> Message:
    """Return the message of a response.

    Raises:
        CallFailed: the bytes are no message.
    """
    try:
        request = codec.decode(Operation.PREDICT, response.body)
        request.keeps_rows = find_kept_rows(sent)
        return request.message
    except PayloadError as error:
        text = f"the response is no message of Seldon's protocol: {error}"
        raise CallFailed(text, 502, "INTERNAL", request_id=response.request_id) from None
