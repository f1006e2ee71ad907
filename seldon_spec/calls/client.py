"""``Client``: calls of a model over REST, over gRPC, or in this process."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from seldon_spec.calls import open_inference_format, seldon_format
from seldon_spec.calls.errors import CallFailed, CallTimeout
from seldon_spec.calls.open_target import (
    Connection,
    Source,
    check_header,
    is_url,
    open_in_process,
    open_server,
    split_model,
)
from seldon_spec.calls.protocol_choice import OPERATIONS, Name, Protocol, has_v2_only, uses_v2
from seldon_spec.calls.result import Result
from seldon_spec.calls.target import Outgoing, Target
from seldon_spec.calls.values import make_message, restore
from seldon_spec.errors import PayloadError, ResultError
from seldon_spec.inference.message import Message, Operation, join_messages
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.remote.failures import TimeLimit, limit_seconds

_BINARY = frozenset({"binary_tensor_data", "binary_data"})
"""The names that servers of the Open Inference Protocol have for the extension."""

_POLL_SECONDS = 0.1
_READY_SECONDS = 5.0


class Client:
    """Calls a model behind a URL, or in this process.

    A method takes an array, a DataFrame of pandas or polars, lists, text, bytes, or a dict, and returns a value of the
    same kind: a DataFrame for a DataFrame, with the columns that the response names and the index of the argument;
    nested lists for lists; a dict of arrays for a dict of arrays, which only the Open Inference Protocol has. If the
    response has no such form, such as text for an array, the value is what the response holds. So ``predict`` fits into
    code that calls the model's own method; ``call`` returns the same value in a ``Result``, which has the names, tags
    and metrics of the response as well.

    In this process the model has the server's checks and codecs, and a thread of its own. A class is the object that
    is given, so that a new client of a class that was defined again uses the new definition; a path is imported again
    if its files have changed. Close the client, or use it as a context manager.

    Calls can be made from any thread. A request is sent a second time only if the server cannot have received a byte
    of it: the connection was refused, or could not be used.

    Args:
        source: the URL of a server (``http``, ``https``, ``grpc`` or ``grpcs``; the path ``/v2/models/NAME`` selects a
            model), the path of a folder or a seldon.yaml, a ``Spec``, or a class or another callable that makes the
            object.
        protocol: ``auto``: Seldon's protocol, but the Open Inference Protocol for ``infer``, for dicts of arrays, for
            a URL that selects a model, and if the server has no other.
        model: the name of the model in the Open Inference Protocol; None: the only one of the server.
        timeout: of a call, in seconds; None: unlimited.
        token: the bearer token that the server requires.
        ca: a PEM file with the authorities of the server's certificate; None: those of the system.
        certificate, key: PEM files of a client certificate.
        headers: of every request; on gRPC its metadata.
        max_connections: over REST; further calls wait for a connection. gRPC has one connection for all calls.
        parameters: of the class; for one with the name of an argument above, give ``functools.partial(Class, …)``.

    Raises:
        SpecError: the spec has errors, a secret cannot be read, or a required argument has no value.
        ComponentFailed: the class cannot be imported or built; ``__cause__`` is the original exception.
        SeldonSpecError: the URL or a file cannot be used.
    """

    def __init__(
        self,
        source: Source,
        /,
        *,
        protocol: Protocol = "auto",
        model: str | None = None,
        timeout: float | None = 60,
        token: str | None = None,
        ca: str | os.PathLike[str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
        max_connections: int = 16,
        **parameters: Any,
    ) -> None:
        if protocol not in ("auto", "seldon", "v2"):
            raise ValueError(f"protocol is auto, seldon or v2, not {protocol!r}")
        self._timeout = timeout
        self._model = model
        self._protocol = protocol
        self._is_binary: bool | None = None
        self._lock = threading.Lock()
        if isinstance(source, str) and is_url(source):
            if parameters:
                raise TypeError(f"parameters are for a class, not for a URL: {', '.join(parameters)}")
            url, selected = split_model(source)
            if selected is not None:
                self._model, self._protocol = model or selected, "v2" if protocol == "auto" else protocol
            pems = _as_path(ca), _as_path(certificate), _as_path(key)
            self._target = open_server(url, Connection(token, *pems, headers or {}, max_connections))
        else:
            self._target = open_in_process(source, parameters)
        self._codec: JsonCodec | ProtoCodec = ProtoCodec() if self._target.is_grpc else JsonCodec()

    @property
    def target(self) -> Target:
        """What runs the model."""
        return self._target

    @property
    def protocol(self) -> Protocol:
        """The protocol of the argument; ``v2`` also after a call has found that the server has no other."""
        return self._protocol

    def predict(self, data: Any, *, names: Sequence[str] | None = None, **options: Any) -> Any:
        """Return the prediction for data; see ``call`` for the arguments and the errors."""
        return self.call("predict", data, names=names, **options).value

    def infer(self, data: Any, **options: Any) -> Any:
        """Return the inference for named arrays, or for one array, by the Open Inference Protocol; see ``call``."""
        return self.call("infer", data, **options).value

    def transform_input(self, data: Any, *, names: Sequence[str] | None = None, **options: Any) -> Any:
        """Return data as a transformer passes it to a model; see ``call``."""
        return self.call("transform_input", data, names=names, **options).value

    def transform_output(self, data: Any, *, names: Sequence[str] | None = None, **options: Any) -> Any:
        """Return the response of a model as a transformer passes it on; see ``call``."""
        return self.call("transform_output", data, names=names, **options).value

    def route(self, data: Any, *, names: Sequence[str] | None = None, **options: Any) -> int:
        """Return the branch that a router chooses; see ``call``."""
        branch: int = self.call("route", data, names=names, **options).value
        return branch

    def aggregate(self, data: Sequence[Any], **options: Any) -> Any:
        """Return several responses combined into one, of the kind of the first one; see ``call``."""
        return self.call("aggregate", data, **options).value

    def feedback(
        self,
        data: Any,
        reward: float,
        *,
        truth: Any = None,
        response: Result | None = None,
        names: Sequence[str] | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Send the reward of an earlier response.

        Args:
            data: of the earlier request.
            reward: of the response.
            truth: the correct response; None: it is not known.
            response: the result of the earlier call, whose branches get the feedback in a graph.
            names, request_id, timeout: see ``call``.

        Raises:
            CallFailed, TypeError, ValueError: as ``call`` does.
        """
        if self._protocol == "v2":
            raise ValueError("the Open Inference Protocol has no feedback; use protocol='seldon'")
        request, limit = make_message(data, names), self._start(timeout)
        correct = None if truth is None else make_message(truth)
        meta = {} if response is None else response.meta
        try:
            body = seldon_format.encode_feedback(self._codec, request, reward, correct, meta)
        except (PayloadError, ResultError) as error:
            raise ValueError(str(error)) from None
        self._target.send(Outgoing(Operation.FEEDBACK, body, _choose_id(request_id)), limit)

    def call(
        self,
        operation: Name,
        data: Any,
        *,
        names: Sequence[str] | None = None,
        tags: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Call an operation and return its value with everything else that the response says.

        Args:
            operation: the name of the method.
            data: see ``Client``; of ``aggregate`` a list of values.
            names: of the columns; None: those of a DataFrame. The Open Inference Protocol has none in requests.
            tags: of the request.
            request_id: for the server's logs; None: a random one.
            timeout: in seconds; None: that of the client.

        Raises:
            CallFailed: the server, or the model in this process, returned an error.
            NoConnection: the server cannot be reached.
            CallTimeout: there was no response in time.
            TypeError, ValueError: the data have no form in the protocol, or the protocol has no such operation.
        """
        limit, request_id = self._start(timeout), _choose_id(request_id)
        if operation == "aggregate":
            first = data[0] if data else None
            message: Message = join_messages([make_message(each, names, tags) for each in data])
        else:
            first, message = data, make_message(data, names, tags)
        is_v2 = uses_v2(self._protocol, operation, data)
        try:
            if is_v2:
                return self._infer(message, data, request_id, limit)
            try:
                body = self._codec.write_request(message)
                return self._exchange(OPERATIONS[operation], body, first, request_id, limit)
            except CallFailed as error:
                if self._protocol != "auto" or operation != "predict" or not has_v2_only(self._target, error, limit):
                    raise
            result = self._infer(message, data, request_id, limit)
            self._protocol = "v2"
            return result
        except (PayloadError, ResultError) as error:
            raise ValueError(str(error)) from None

    def metadata(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Return the metadata of the model, as the protocol has them.

        Raises:
            CallFailed: as ``call`` does.
        """
        limit = self._start(timeout)
        is_v2 = self._protocol == "v2"
        name = self._find_model(limit) if is_v2 else self._model or ""
        found: dict[str, Any] = self._target.read_metadata(name, limit, is_v2=is_v2)
        return found

    def ready(self, *, timeout: float | None = None) -> bool:
        """Return whether the model accepts requests; False also if the server cannot be reached."""
        try:
            self._check_ready(self._start(timeout))
        except CallFailed:
            return False
        return True

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until the model accepts requests.

        Raises:
            CallTimeout: it does not within ``timeout`` seconds; the text has the last reason.
        """
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            try:
                return self._check_ready(self._start(max(0.001, min(left, _READY_SECONDS))))
            except CallFailed as error:
                if left <= _POLL_SECONDS:
                    text = f"{self._target.address} was not ready within {timeout:g} seconds: {error.info}"
                    raise CallTimeout(text, 504, "DEADLINE_EXCEEDED") from None
            time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """Close the connections, or stop the model; calls in flight fail."""
        self._target.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, timeout: float | None) -> TimeLimit:
        """Return the limit of a call."""
        seconds = self._timeout if timeout is None else timeout
        if seconds is None:
            return TimeLimit()
        return limit_seconds(seconds, f"no response from {self._target.address} within {seconds:g} seconds")

    def _exchange(self, operation: Operation, body: bytes, sent: Any, request_id: str, limit: TimeLimit) -> Result:
        """Send a request of Seldon's protocol."""
        response = self._target.send(Outgoing(operation, body, request_id), limit)
        message = seldon_format.decode(self._codec, response, sent)
        value = restore(message, sent)
        if operation is Operation.ROUTE:
            value = int(message.payload.reshape(-1)[0])
        return Result(value, list(message.names or ()), message.meta or {}, response.request_id)

    def _infer(self, message: Message, sent: Any, request_id: str, limit: TimeLimit) -> Result:
        """Send a request of the Open Inference Protocol."""
        model, is_binary, is_grpc = self._find_model(limit), self._has_binary(limit), self._target.is_grpc
        request = open_inference_format.encode(message, model, request_id, is_grpc=is_grpc, is_binary=is_binary)
        response = self._target.send(request, limit)
        found, outputs = open_inference_format.decode(response, sent, is_grpc=is_grpc)
        return Result(restore(found, sent), found.names, found.meta or {}, response.request_id, outputs)

    def _find_model(self, limit: TimeLimit) -> str:
        """Return the name of the model; the server is asked once.

        Raises:
            CallFailed: it cannot be asked.
            ValueError: it has several models, or does not list them, and the client names none.
        """
        with self._lock:
            if self._model is None:
                names = self._target.list_models(limit)
                if len(names) != 1 and not (self._target.is_grpc and not names):  # there it may have a default
                    found = f"several models: {', '.join(names)}" if names else "no list of its models"
                    raise ValueError(f"{self._target.address} has {found}; select one by the argument model")
                self._model = names[0] if names else ""
            return self._model

    def _has_binary(self, limit: TimeLimit) -> bool:
        """Return whether tensors can be binary data behind JSON; the server is asked once."""
        with self._lock:
            if self._is_binary is None:
                extensions = () if self._target.is_grpc else self._target.list_extensions(limit) or ()
                self._is_binary = not _BINARY.isdisjoint(extensions)
            return self._is_binary

    def _check_ready(self, limit: TimeLimit) -> None:
        is_v2 = self._protocol == "v2"
        self._target.check_ready((self._model or "") if is_v2 else "", limit, is_v2=is_v2)


def _choose_id(request_id: str | None) -> str:
    if request_id is None:
        return uuid.uuid4().hex
    check_header("seldon-puid", request_id)
    return request_id


def _as_path(file: str | os.PathLike[str] | None) -> Path | None:
    return None if file is None else Path(file)
