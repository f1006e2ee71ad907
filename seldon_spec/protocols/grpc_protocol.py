"""The gRPC services of a protocol, described for any engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from google.protobuf.descriptor_pool import DescriptorPool

from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec

Decompress: TypeAlias = Callable[[bytes | memoryview], bytes]
"""Decompresses a message."""


Metadata: TypeAlias = Iterable[tuple[bytes, bytes]]
"""The metadata of a call, and other header fields of its request."""


@dataclass(frozen=True, slots=True)
class ModelMethod:
    """A method that calls the model."""

    operation: Operation


@dataclass(frozen=True, slots=True)
class StreamMethod:
    """A method with any number of messages in both directions, each of which calls the model.

    Attributes:
        operation: of each message.
        wrap: returns the response message for what the codec has encoded.
        encode_error: returns the response message for an error, given the error and what ``identify`` has returned for
            its request; None: an error ends the call.
        identify: returns what the response to a request that fails contains of it; called on the event loop.
    """

    operation: Operation
    wrap: Callable[[bytes], bytes] = bytes
    encode_error: Callable[[BaseException, bytes], bytes] | None = None
    identify: Callable[[bytes | memoryview], bytes] = lambda _request: b""


@dataclass(frozen=True, slots=True)
class DirectMethod:
    """A method that does not call the model.

    Attributes:
        respond: returns the response to a request; called on the event loop. Raises ``SeldonSpecError``.
    """

    respond: Callable[[bytes], bytes]


GrpcMethod: TypeAlias = ModelMethod | StreamMethod | DirectMethod


@dataclass(frozen=True, slots=True)
class GrpcProtocol:
    """The services of a protocol.

    Attributes:
        services: the methods of each service by their names; the services by their full names.
        pool: describes the services.
        make_codec: returns the codec of messages that are compressed, given how to decompress them, on a model thread;
            None: of messages that are not compressed.
        describe: returns the name of the status and the text for an error.
        open_paths: of the methods that need no token.
        bind_codec: returns the codec of calls with the same metadata, given a codec and the metadata; None: the codec
            needs none.
        ignored_metadata: that ``bind_codec`` does not read.
        check_loaded: raises NotServing while the model is not loaded; None: calls wait until it is.
    """

    services: Mapping[str, Mapping[str, GrpcMethod]]
    pool: DescriptorPool
    make_codec: Callable[[Decompress | None], Codec]
    describe: Callable[[BaseException], tuple[str, str]]
    open_paths: frozenset[bytes] = frozenset()
    bind_codec: Callable[[Codec, Metadata], Codec] | None = None
    ignored_metadata: frozenset[bytes] = frozenset()
    check_loaded: Callable[[], None] | None = None
