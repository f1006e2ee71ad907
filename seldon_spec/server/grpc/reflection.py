"""The service of reflection, which describes all services to clients that do not know them.

What there is to say is known to grpc_reflection. It brings grpcio along, so it is imported when somebody asks, in a
thread of its own: the event loop has other clients.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seldon_spec.errors import MalformedRequest
from seldon_spec.protocols.seldon_v1.fast.proto import Wire
from seldon_spec.protocols.seldon_v1.grpc_methods import HEALTH_SERVICE, REFLECTION_SERVICES, SERVICES, DescriptorPools
from seldon_spec.server.grpc.call import PREFIX_BYTES, CallHandler, GrpcCall, write_prefix
from seldon_spec.transport.grpc.headers import HEAD, OK_TAIL
from seldon_spec.transport.http2.stream import Carrier


class Reflection:
    """Answers the questions, in any thread."""

    @cached_property
    def _servicer(self) -> Any:
        from grpc_health.v1 import health_pb2  # noqa: F401 - so that protobuf's own pool has its description
        from grpc_reflection.v1alpha import reflection

        listed = (*SERVICES, HEALTH_SERVICE, *REFLECTION_SERVICES)
        return reflection.ReflectionServicer(listed, pool=DescriptorPools())

    def answer(self, message: bytes) -> bytes:
        """The ServerReflectionResponse to a ServerReflectionRequest.

        Raises:
            MalformedRequest: it is none.
        """
        from google.protobuf.message import DecodeError
        from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

        servicer = self._servicer
        try:
            request = ServerReflectionRequest.FromString(message)
        except DecodeError as error:
            raise MalformedRequest(f"this is no ServerReflectionRequest: {error}") from None
        response = next(iter(servicer.ServerReflectionInfo(iter((request,)), None)))
        answer: bytes = response.SerializeToString()
        return answer


@dataclass(slots=True)
class ReflectionHandler(CallHandler):
    """The plan of a reflection call.

    Attributes:
        reflection: has the answers.
    """

    reflection: Reflection


class ReflectionCall(GrpcCall):
    """Questions and answers by turns: the next one is looked at when the answer to the last one has left."""

    __slots__ = ("_future", "_has_ended", "_questions")

    _plan: ReflectionHandler

    def __init__(self, plan: ReflectionHandler, carrier: Carrier, stream_id: int, window: int) -> None:
        super().__init__(plan, carrier, stream_id, window)
        self._questions: deque[tuple[int, bytes]] = deque()
        self._future: asyncio.Future[bytes] | None = None
        self._has_ended = False

    def take_message(self, message: Wire) -> None:
        """See ``GrpcCall``; the client's window bounds how many questions wait."""
        self.deadline = math.inf  # the client may wait before its next question
        self._questions.append((PREFIX_BYTES + len(message), bytes(self.read_plain(message))))
        self.advance()

    def take_end(self) -> None:
        """See ``GrpcCall``."""
        self._has_ended = True
        self.advance()

    def advance(self) -> None:
        """See ``Stream``."""
        if self._future is not None or self.outgoing:
            return
        if self._questions:
            size, question = self._questions.popleft()
            self.carrier.give_back(self, size)
            answer = self._plan.reflection.answer
            self._future = asyncio.get_running_loop().run_in_executor(None, answer, question)
            self._future.add_done_callback(self._send)
        elif self._has_ended:
            self.lose()
            self.is_successful = True
            if not self.is_answering:
                self.carrier.begin(self, HEAD)
            self.carrier.finish(self, OK_TAIL)

    def _send(self, future: asyncio.Future[bytes]) -> None:
        if self.is_over or future.cancelled():
            return
        self._future = None
        error = future.exception()
        if error is not None:
            self.fail(error)
            return
        if not self.is_answering:
            self.carrier.begin(self, HEAD)
        body = future.result()
        self.carrier.send(self, write_prefix(body) + body)

    def expire(self) -> None:
        """See ``Stream``; between two questions a client may take its time."""
        if self.is_within_message:
            super().expire()

    def retire(self) -> None:
        """See ``Stream``."""
        self.end("UNAVAILABLE", "the server is stopping")

    def lose(self) -> None:
        """See ``Stream``."""
        super().lose()
        self._questions.clear()
