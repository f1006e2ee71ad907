"""The codecs of messages between replicas, one for each encoding."""

from __future__ import annotations

from collections.abc import Mapping

from seldon_spec.inference.message import Transport
from seldon_spec.inference.request import Codec
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

_JSON = JsonCodec(JsonStyle(sort_keys=False))  # so that a message stays what it is in one process

CODECS: Mapping[Transport, Codec] = {codec.transport: codec for codec in (_JSON, ProtoCodec())}
