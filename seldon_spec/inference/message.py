"""Requests, responses and their messages, independent of the protocol and the transport.

Imports no JSON, no protobuf and no numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Operation(str, Enum):
    """An operation of a component; the value is the ``method`` label of its metrics (contract section 6.2)."""

    PREDICT = "predict"
    TRANSFORM_INPUT = "inputtransform"
    TRANSFORM_OUTPUT = "outputtransform"
    ROUTE = "router"
    AGGREGATE = "aggregate"
    FEEDBACK = "feedback"
    HEALTH = "health"
    METADATA = "metadata"

    __hash__ = str.__hash__  # Enum's own is a function in Python, and a request looks up many tables


WITHOUT_BODY = frozenset({Operation.HEALTH, Operation.METADATA})
"""The operations whose request has no body."""


class Transport(str, Enum):
    """The transport of a request; the value is the suffix of the hooks that are for one transport only."""

    REST = "rest"
    GRPC = "grpc"

    __hash__ = str.__hash__


class PayloadType(Enum):
    """The type of a message's payload."""

    ARRAY = "array"
    TENSORS = "tensors"
    JSON = "json"
    TEXT = "text"
    BINARY = "binary"
    CUSTOM = "custom"
    NOTHING = "nothing"


class KeepRows(Enum):
    """When a message keeps the values of its array as they were sent, because an array has one type for all."""

    NEVER = "never"
    IF_MIXED = "if mixed"
    ALWAYS = "always"


@dataclass(slots=True)
class Tensor:
    """A named array.

    Attributes:
        name: unique within a message.
        array: the values; BYTES elements are an array of objects.
        datatype: the name that the protocol has for the type; None: the array's dtype says it all.
        parameters: what else the sender says about this tensor.
        content_type: what the elements of BYTES are, such as ``str``: from the parameters or from the declared inputs.
        wrong: the error, if values are not of the datatype; the array then holds them as they were sent.
    """

    name: str
    array: Any
    datatype: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    content_type: str | None = None
    wrong: Exception | None = None


@dataclass(slots=True)
class Message:
    """The content of a request or a response.

    Attributes:
        payload_type: the type of the payload.
        payload: an array for ARRAY, a list of ``Tensor`` for TENSORS, a ``google.protobuf.Any`` for CUSTOM, else text,
            bytes or a JSON value.
        names: the columns' names as they were sent, usually a list of text. In a response they are what the class
            returned, of any type.
        meta: the ``meta`` object; None if the request had none and the encoding can distinguish that. The component
            gets this very object, and its changes show in the response (contract section 3.3).
        encoding: how the protocol encodes an array; only codecs read it. A response has the encoding of its request.
        original: the list that the class returned where it returned no array; only in a response.
        has_default_names: whether the names are the default ones for their count; only in a response.
        table: the table that the class returned, whose columns have types of their own; only in a response.
        rows: the array as nested lists of the values that were sent; only in a request that keeps them.
    """

    payload_type: PayloadType
    payload: Any
    names: Any = field(default_factory=list)
    meta: dict[str, Any] | None = None
    encoding: Any = None
    original: list[Any] | None = None
    has_default_names: bool = False
    table: Any = None
    rows: list[Any] | None = None


@dataclass(slots=True)
class TensorMessage(Message):
    """A request of named tensors; the payload is a list of ``Tensor``.

    Attributes:
        id: the client's ID of the request; None: it sent none.
        parameters: of the request; they are the tags in ``meta`` as well, and are not sent back.
        headers: the request's headers that the class may read.
        version: the version of the model that the client requests; None: any.
        outputs: the names of the outputs that the client requests; empty: all.
        content_type: what the tensors are together, such as ``pd``; None: arrays.
    """

    id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    outputs: tuple[str, ...] = ()
    content_type: str | None = None


class NamedArrays(dict[str, Any]):
    """The result of a method that returns named arrays."""


@dataclass(slots=True)
class AggregateMessage(Message):
    """The messages of an ``aggregate`` request; ``payload`` and ``names`` are the lists of theirs.

    Attributes:
        parts: the messages.
    """

    parts: Sequence[Message] = ()


@dataclass(slots=True)
class FeedbackMessage(Message):
    """Feedback on an earlier request, which is the message itself.

    Attributes:
        reward: the reward; 0 if there is none.
        truth: the correct response as an array; empty if there is none.
        routing: the branch that each router had chosen, by the router's name.
    """

    reward: float = 0.0
    truth: Any = None
    routing: Mapping[str, int] = field(default_factory=dict)


def join_messages(parts: Sequence[Message]) -> AggregateMessage:
    """Join the messages of an ``aggregate`` request (contract section 4.3).

    Returns:
        One message of the first one's payload type and encoding. Its meta has the first one's puid; tags and request
        paths of later messages override earlier ones; metrics are appended in order. Without messages, the payload
        type is NOTHING, and ``build_response_message`` refuses it.
    """
    if not parts:
        return AggregateMessage(PayloadType.NOTHING, [], [], {})
    meta: dict[str, Any] = {"puid": (parts[0].meta or {}).get("puid"), "tags": {}, "metrics": [], "requestPath": {}}
    for part in parts:
        if part.meta:
            meta["tags"].update(part.meta.get("tags") or {})
            meta["metrics"].extend(part.meta.get("metrics") or ())
            meta["requestPath"].update(part.meta.get("requestPath") or {})
    return AggregateMessage(
        parts[0].payload_type,
        [part.payload for part in parts],
        [part.names for part in parts],
        meta,
        parts[0].encoding,
        parts=parts,
    )
