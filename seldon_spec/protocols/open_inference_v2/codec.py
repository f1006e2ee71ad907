"""What the JSON codec and the protobuf codec of the Open Inference Protocol share."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.model import Spec
from seldon_spec.errors import PayloadError, UnknownModel, UnwritableResult
from seldon_spec.inference.component.tensors import tensors_to_array
from seldon_spec.inference.datatypes import BYTES, find_datatype
from seldon_spec.inference.image_files import is_image_type
from seldon_spec.inference.json_default import plain_tree
from seldon_spec.inference.message import (
    AggregateMessage,
    KeepRows,
    Message,
    Operation,
    PayloadType,
    Tensor,
    TensorMessage,
    join_messages,
)
from seldon_spec.inference.request import Codec
from seldon_spec.protocols.open_inference_v2.request import InferOptions, RequestedOutput, select_tags
from seldon_spec.protocols.open_inference_v2.response import output_tensors, select_outputs
from seldon_spec.protocols.seldon_v1 import raw_messages
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding

C = TypeVar("C", bound="OpenInferenceCodec")

Wire = bytes | bytearray | memoryview

_SEVERAL = frozenset({"pd", "dict"})
"""The content types of all tensors of a request together."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The served model, as requests and responses name it.

    Attributes:
        name: in responses to requests that give no name.
        version: None: the model has none.
        inputs, outputs: as declared; empty: they are unknown.
        find_spec: returns the spec with the inputs and outputs that a model file describes, once it is loaded; None:
            only ``inputs`` and ``outputs`` count.
        aliases: further names.
        takes_any_name: whether requests may give any other name (routers and combiners).
        shows_metrics: whether the metrics of a call are in its response.
        components: the components of a graph by their names; requests may name one of them.
    """

    name: str
    version: str | None = None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    aliases: frozenset[str] = frozenset()
    takes_any_name: bool = False
    shows_metrics: bool = False
    components: Mapping[str, ModelInfo] = field(default_factory=lambda: MappingProxyType({}))
    find_spec: Callable[[], Spec | None] | None = None

    def find_tensors(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Return the inputs and the outputs, after the model has been loaded."""
        spec = None if self.find_spec is None else self.find_spec()
        return (self.inputs, self.outputs) if spec is None else (spec.inputs, spec.outputs)

    def find(self, name: str, version: str = "") -> ModelInfo:
        """Return the model that a request names, or the component of a graph.

        Raises:
            UnknownModel: there is no such model or version.
        """
        component = self.find_component(name)
        found = self if component is None else self.components[component]
        found.check(name, version)
        return found

    def find_component(self, name: str) -> str | None:
        """Return the name itself if it is that of a component; None if it is that of the model, or unknown."""
        return name if name in self.components and name != self.name and name not in self.aliases else None

    def check(self, name: str, version: str) -> None:
        """Check the name and the version of a request; an empty one means any.

        Raises:
            UnknownModel: it is another model or version.
        """
        if name and name != self.name and name not in self.aliases and not self.takes_any_name:
            known = "".join(f", {component!r}" for component in self.components)
            models = f"the models are {self.name!r}{known}" if known else f"the model is {self.name!r}"
            raise UnknownModel(f"unknown model {name!r:.200}; {models}")
        if version and version != self.version:
            known = "it has no versions" if self.version is None else f"its version is {self.version!r}"
            raise UnknownModel(f"unknown version {version!r:.200} of model {name or self.name!r}; {known}")


@dataclass(slots=True)
class InferBody:
    """A request's body with what its headers, its path or the metadata of its call say of it.

    Attributes:
        body: the bytes.
        json_size: the length of the JSON at the start of the body (``Inference-Header-Content-Length``); 0: there is
            none; None: all of it is JSON.
        model_name: the name in the path; None: the model's own.
        puid: of the header ``Seldon-Puid``; None: there is none.
        headers: that the class may read, by their names in lower case.
    """

    body: Wire
    json_size: int | None = None
    model_name: str | None = None
    puid: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body_bytes(self) -> int:
        """Return the length of the body."""
        return len(self.body)


class DeclaredTensors:
    """The inputs and outputs of a model, as the codecs look them up.

    Attributes:
        inputs: by their names.
        only_input: None: there are several, or they are unknown.
        output_names: empty: they are unknown.
        image_outputs: the media types of outputs that are images.
        bf16_outputs: the names of outputs of BF16.
        column_outputs: the names of outputs of shape [-1, 1], which a class may return without the second dimension.
    """

    __slots__ = ("bf16_outputs", "column_outputs", "image_outputs", "inputs", "only_input", "output_names")

    def __init__(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        self.inputs = {tensor.name: tensor for tensor in inputs}
        self.only_input = inputs[0] if len(inputs) == 1 else None
        self.output_names = [tensor.name for tensor in outputs]
        self.image_outputs = {t.name: t.content_type for t in outputs if is_image_type(t.content_type)}
        self.bf16_outputs = {tensor.name for tensor in outputs if tensor.datatype == "BF16"}
        self.column_outputs = {tensor.name for tensor in outputs if tensor.shape == (-1, 1)}


class OpenInferenceCodec:
    """The base class of the codecs.

    Args:
        model: the served model.
        raw_codec: of the messages that ``*_raw`` hooks get: of Seldon's protocol, on the same transport.
    """

    protocol = "v2"
    has_tensors = True

    raw_to_tree = staticmethod(raw_messages.to_tree)
    split_metrics = staticmethod(raw_messages.split_metrics)
    add_method_tag = staticmethod(raw_messages.add_method_tag)
    add_routing = staticmethod(raw_messages.add_routing)

    def __init__(self, model: ModelInfo, raw_codec: Codec) -> None:
        self._model = model
        self._raw_codec = raw_codec

    @cached_property
    def _declared(self) -> DeclaredTensors:
        """The inputs and outputs; read for the first request, since a model file describes them once it is loaded."""
        return DeclaredTensors(*self._model.find_tensors())

    @property
    def raw_codec(self) -> Codec:
        return self._raw_codec

    def with_inputs(self: C, inputs: tuple[TensorSpec, ...]) -> C:
        """Return a codec of this encoding with other inputs; see ``Codec.with_inputs``."""
        codec = copy.copy(self)
        codec.__dict__.pop("_declared", None)
        OpenInferenceCodec.__init__(codec, ModelInfo(self._model.name, inputs=inputs), self._raw_codec)
        return codec

    def read_message(self, operation: Operation, body: Any, keeps_rows: KeepRows = KeepRows.NEVER) -> Message:
        raise NotImplementedError

    def read_raw(self, operation: Operation, body: Any) -> Any:
        """Return the request as the message of Seldon's protocol that its clients would have sent.

        Raises:
            PayloadError: the body is not a request.
            ResultError: the request has no form in Seldon's protocol.
        """
        if not isinstance(body, Message):
            message = self.read_message(operation, body)
        else:
            message = body if isinstance(body, TensorMessage) else self.receive(body)
        return self._raw_codec.decode(operation, self._raw_codec.write_request(to_seldon(message))).raw

    def write_raw(self, raw: Any) -> Any:
        return self._raw_codec.write_raw(raw)

    def receive(self, message: Message, keeps_rows: KeepRows = KeepRows.NEVER) -> Message:  # noqa: ARG002
        if isinstance(message, AggregateMessage):
            return join_messages([self.receive(part) for part in message.parts])
        tensors = output_tensors(message, ())
        for tensor in tensors:
            tensor.array = tensor.array.copy()
        if len(tensors) == 1 and len(self._declared.inputs) > 1:
            tensors = self._split_columns(tensors[0], message.names)
        parameters = tag_parameters(message)
        received = self._message(tensors, InferOptions(parameters=parameters), None)
        received.parameters = {}  # they are tags of components, which every response on the way keeps
        kept = {key: message.meta[key] for key in ("metrics", "requestPath") if message.meta and message.meta.get(key)}
        if kept and received.meta is not None:
            received.meta |= copy.deepcopy(kept)
        return received

    def _split_columns(self, tensor: Tensor, names: Any) -> list[Tensor]:
        """Return the columns of an array as the declared inputs: by their names, or else in their order."""
        array, declared = tensor.array, list(self._declared.inputs)
        if array.ndim != 2 or array.shape[1] != len(declared):
            return [tensor]
        columns = names if isinstance(names, list) and set(map(str, names)) == set(declared) else declared
        shapes = [[-1] + [1] * (len(self._declared.inputs[name].shape) - 1) for name in columns]
        return [Tensor(name, array[:, i].copy().reshape(shapes[i])) for i, name in enumerate(columns)]

    def _outputs(self, message: Message, requested: Sequence[RequestedOutput]) -> list[Tensor]:
        """Return the requested outputs of a response.

        Raises:
            PayloadError: there is no output of a requested name.
            ResultError: the class returned something that has no form in the protocol.
        """
        declared = self._declared
        tensors = select_outputs(output_tensors(message, declared.output_names), requested)
        for tensor in tensors if declared.column_outputs else ():
            if tensor.array.ndim == 1 and tensor.name in declared.column_outputs:
                tensor.array = tensor.array.reshape(-1, 1)
        for tensor in tensors if declared.bf16_outputs else ():
            if tensor.name in declared.bf16_outputs and tensor.array.dtype == find_datatype("BF16").dtype:
                tensor.datatype = "BF16"  # its bits are uint16 without ml_dtypes
        for tensor in tensors if declared.image_outputs else ():
            if tensor.name in declared.image_outputs and tensor.datatype == BYTES.name:
                tensor.parameters = {"content_type": declared.image_outputs[tensor.name], **tensor.parameters}
        return tensors

    def _message(self, tensors: list[Tensor], options: InferOptions, wire: InferBody | None) -> TensorMessage:
        """Return the message of a request."""
        parameters = options.parameters
        meta: dict[str, Any] = {}
        puid = options.id if wire is None or wire.puid is None else wire.puid
        if puid:
            meta["puid"] = puid
        tags = select_tags(parameters) if parameters else None
        if tags:
            meta["tags"] = tags
        message = TensorMessage(
            PayloadType.TENSORS, tensors, self._apply_declared(tensors), meta, options, id=options.id
        )
        if wire is not None and wire.headers:
            message.headers = meta["headers"] = dict(wire.headers)
        if parameters:
            message.parameters = parameters
            content_type = _content_type(parameters, "the request")
            if content_type in _SEVERAL:
                message.content_type = content_type
            elif len(tensors) == 1 and tensors[0].content_type is None:
                tensors[0].content_type = content_type
        message.version = options.version
        if options.outputs:
            message.outputs = tuple([output.name for output in options.outputs])
        for tensor in tensors:
            if tensor.parameters:
                meta.setdefault("inputs", {})[tensor.name] = dict(tensor.parameters)
        return message

    def _apply_declared(self, tensors: list[Tensor]) -> list[str]:
        """Set the tensors' content types, those that are declared unless the request says otherwise.

        A single tensor is the only declared input, whatever the client calls it.

        Returns:
            The declared names of the columns of a single input; none if it has another number of columns.
        """
        names: list[str] = []
        is_only = len(tensors) == 1
        for tensor in tensors:
            if tensor.parameters:
                tensor.content_type = _content_type(tensor.parameters, f"input {tensor.name!r:.100}")
            declared = self._declared.inputs.get(tensor.name, self._declared.only_input if is_only else None)
            if declared is not None:
                tensor.content_type = tensor.content_type or declared.content_type
                if is_only and (tensor.array.shape[1:] or (1,)) == (len(declared.columns),):
                    names = declared.column_names
        return names


def _content_type(parameters: Mapping[str, Any], what: str) -> str | None:
    value = parameters.get("content_type")
    if value is not None and not isinstance(value, str):
        raise PayloadError(f"the content_type of {what} is not a text")
    return value


def to_seldon(message: Message) -> Message:
    """Return a request as the message of Seldon's protocol that holds the same; one without tensors is that already.

    Raises:
        PayloadError: elements are not what their content type says.
        ResultError: it has no form in Seldon's protocol.
    """
    if isinstance(message, AggregateMessage):
        return join_messages([to_seldon(part) for part in message.parts])
    if message.payload_type is not PayloadType.TENSORS:
        return message
    meta = {key: value for key, value in (message.meta or {}).items() if key in ("puid", "tags")}
    message = tensors_to_array(message)
    payload, names = message.payload, message.names
    if message.payload_type is PayloadType.JSON:
        return Message(PayloadType.JSON, plain_tree(payload), meta=meta)
    if not isinstance(payload, np.ndarray):  # a table
        payload, names = payload.to_numpy(), [str(column) for column in payload.columns]
    if payload.dtype == object and payload.size == 1:
        value = payload.reshape(-1)[0]
        if isinstance(value, str):
            return Message(PayloadType.TEXT, value, meta=meta)
        if isinstance(value, bytes):
            return Message(PayloadType.BINARY, value, meta=meta)
    return Message(PayloadType.ARRAY, payload, names, meta, ArrayEncoding.NDARRAY)


def tag_parameters(message: Message) -> dict[str, Any]:
    """Return the tags of a message as parameters.

    Returns:
        Text, numbers and truth values as they are, anything else as JSON text.

    Raises:
        UnwritableResult: a tag has no form in JSON.
    """
    tags: Mapping[Any, Any] = (message.meta or {}).get("tags") or {}
    return {str(name): _parameter(value) for name, value in tags.items()}


def response_parameters(message: Message, *, shows_metrics: bool) -> dict[str, Any]:
    """Return the parameters of a response: its tags, the branches of a graph, and its metrics if clients get them.

    Returns:
        The tags as ``tag_parameters`` does; the others as JSON text.

    Raises:
        UnwritableResult: a tag has no form in JSON.
    """
    meta = message.meta
    if not meta:
        return {}
    parameters = tag_parameters(message)
    shown = ("routing", "metrics") if shows_metrics else ("routing",)
    return parameters | {name: json.dumps(plain_tree(meta[name])) for name in shown if meta.get(name)}


def _parameter(value: Any) -> bool | int | float | str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return int(value)
    if isinstance(value, float) and np.isfinite(value):
        return float(value)
    try:
        return json.dumps(plain_tree(value))
    except RecursionError as error:
        raise UnwritableResult("a tag is nested too deeply for JSON") from error


def options_of(message: Message) -> InferOptions:
    """Return what a request says of its response."""
    return message.encoding if isinstance(message.encoding, InferOptions) else InferOptions()
