"""A model in this process, behind the server's dispatcher and codecs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from seldon_spec.calls.errors import CallFailed, CallTimeout, NoConnection, from_remote
from seldon_spec.calls.target import OWNER, Incoming, Outgoing
from seldon_spec.config.model import Spec
from seldon_spec.config.paths import working_directory
from seldon_spec.errors import NotServing, RemoteFailed, RequestError, SeldonSpecError
from seldon_spec.inference.call import BaseContext
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec, EncodedResponse
from seldon_spec.inference.served_spec import find_served_spec
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.open_inference_v2.codec import InferBody
from seldon_spec.protocols.open_inference_v2.errors import describe as describe_v2
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.open_inference_v2.model_info import make_model_info
from seldon_spec.protocols.open_inference_v2.pages import EXTENSIONS, show_model
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.remote.failures import TimeLimit

_JSON_SIZE = b"inference-header-content-length"


class _CallerContext(BaseContext):
    """The context of a request whose caller gets the exception."""

    __slots__ = ()

    logs_failure = False


class ProcessTarget:
    """A model in this process, on a model thread of its own.

    Args:
        dispatcher: not started; ``close`` stops it.
        spec: of the model.

    Attributes:
        address: the name of the model.

    Raises:
        ComponentFailed: the class cannot be imported or built; ``__cause__`` is the original exception.
    """

    is_grpc = False

    def __init__(self, dispatcher: Dispatcher, spec: Spec) -> None:
        self.address = f"model {spec.name}"
        self._dispatcher = dispatcher
        self._model = make_model_info(spec, find_served_spec(spec, dispatcher))
        self._codec = JsonCodec(JsonStyle.from_flask(spec.flask))
        self._v2_codec = V2JsonCodec(self._model)
        try:
            with working_directory(spec.folder):
                dispatcher.start().result()
        except BaseException:
            dispatcher.stop()
            raise

    def send(self, request: Outgoing, limit: TimeLimit) -> Incoming:
        if request.model is not None:
            wire = InferBody(request.body, request.json_size, request.model or None, request.request_id)
            return self._submit(Operation.PREDICT, wire, self._v2_codec, request.request_id, limit)
        return self._submit(request.operation, request.body, self._codec, request.request_id, limit)

    def list_models(self, limit: TimeLimit) -> list[str]:  # noqa: ARG002
        return [self._model.name]

    def list_extensions(self, limit: TimeLimit) -> Sequence[str]:  # noqa: ARG002
        return EXTENSIONS

    def read_metadata(self, model: str, limit: TimeLimit, *, is_v2: bool) -> Any:
        if not is_v2:
            return json.loads(self._submit(Operation.METADATA, None, self._codec, "", limit).body)
        try:
            return show_model(self._model, self._dispatcher, model)
        except RequestError as error:
            raise _describe(error, None, is_v2=True) from None

    def check_ready(self, model: str, limit: TimeLimit, *, is_v2: bool) -> None:  # noqa: ARG002
        if not self._dispatcher.is_ready:
            raise NoConnection(self._dispatcher.describe_state(), 503, "UNAVAILABLE")

    def close(self) -> None:
        self._dispatcher.drain()
        self._dispatcher.stop()

    def _submit(self, operation: Operation, wire: Any, codec: Codec, request_id: str, limit: TimeLimit) -> Incoming:
        is_v2 = codec is self._v2_codec
        try:
            seconds = limit.remaining()
        except RemoteFailed as error:
            raise from_remote(error, request_id, is_v2=is_v2) from None
        try:
            future = self._dispatcher.submit(operation, wire, codec, _CallerContext(request_id))
            response: EncodedResponse = future.result(seconds)
        except (FutureTimeoutError, TimeoutError):
            future.cancel()
            raise CallTimeout(limit.text, 504, "DEADLINE_EXCEEDED", request_id=request_id) from None
        except SeldonSpecError as error:
            raise _describe(error, request_id, is_v2=is_v2) from error.__cause__
        size = next((int(value) for name, value in response.headers if name == _JSON_SIZE), None)
        return Incoming(response.body, request_id, size)


def _describe(error: SeldonSpecError, request_id: str | None, *, is_v2: bool) -> CallFailed:
    """Return the exception for what a server would respond."""
    if isinstance(error, NotServing):
        return NoConnection(f"the {OWNER} was closed", 503, "UNAVAILABLE", request_id=request_id)
    if is_v2:
        found = describe_v2(error)
        return CallFailed(found.text, found.http, found.grpc, request_id=request_id)
    failure = describe(error)
    return CallFailed(failure.info, failure.http, failure.grpc, failure.reason, failure.code, request_id)
