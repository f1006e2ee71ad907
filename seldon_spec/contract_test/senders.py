"""Where requests are sent: to the model in this process, or to a running server."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import SplitResult, quote

from seldon_spec.app import prepare
from seldon_spec.client import Credentials, NoResponse, connect, open_channel, parse_url, request
from seldon_spec.config.model import Spec
from seldon_spec.config.paths import working_directory
from seldon_spec.contract_test.encoder import Encoder, Request
from seldon_spec.errors import ComponentFailed, SeldonSpecError
from seldon_spec.inference import processor
from seldon_spec.inference.assembly import dispatcher_for
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec
from seldon_spec.inference.served_spec import find_served_spec
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.open_inference_v2.codec import InferBody
from seldon_spec.protocols.open_inference_v2.errors import describe as describe_v2
from seldon_spec.protocols.open_inference_v2.grpc_methods import INFER_PATHS
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.open_inference_v2.model_info import make_model_info
from seldon_spec.protocols.open_inference_v2.proto_codec import V2ProtoCodec
from seldon_spec.protocols.seldon_v1.errors import describe as describe_v1
from seldon_spec.protocols.seldon_v1.grpc_methods import METHODS
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto import PACKAGE
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.protocols.seldon_v1.routes import ROUTES
from seldon_spec.remote import connect_component

NO_RESPONSE = "no response"
_REJECTED = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"})
_TIMEOUT_SECONDS = 60.0
"""The longest prediction in this process."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request led to.

    Attributes:
        status: the HTTP status or the name of the gRPC status; ``no response`` if there was none.
        headers: of the response, with names in lower case.
        text: of an error.
        trace: the traceback of the user's code, in this process.
    """

    status: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    trace: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status in ("200", "OK")

    @property
    def is_rejected(self) -> bool:
        """Whether the request was rejected as one that is wrong."""
        return self.status.startswith("4") or self.status in _REJECTED


class Sender(Protocol):
    """Sends encoded requests."""

    def send(self, encoder: Encoder, request: Request) -> Outcome:
        """Send one request, and wait for its response."""


def v1_path(operation: Operation) -> str:
    """Return the path of an operation of Seldon's protocol over REST."""
    return next(route.path for route in ROUTES if route.operation is operation)


def v1_method(operation: Operation) -> str:
    """Return the path of an operation of Seldon's protocol over gRPC."""
    return next(
        f"/{PACKAGE}.{service}/{name}"
        for service, methods in METHODS.items()
        for name, found in methods.items()
        if found is operation
    )


def v2_path(model: str) -> str:
    """Return the path of inference of the Open Inference Protocol over REST."""
    return f"/v2/models/{quote(model, safe='')}/infer"


class InProcess:
    """Calls the model by the codecs of the server, without sockets.

    Args:
        dispatcher: started.
        spec: prepared.
        operation: of Seldon's protocol.
        timeout: of one request, in seconds.

    Attributes:
        find_spec: returns the spec with the inputs and outputs that a model file describes.
    """

    def __init__(self, dispatcher: Dispatcher, spec: Spec, operation: Operation, timeout: float) -> None:
        self.find_spec = find_served_spec(spec, dispatcher) or (lambda: spec)
        model = make_model_info(spec, self.find_spec)
        self._dispatcher = dispatcher
        self._operation = operation
        self._timeout = timeout
        self._codecs: dict[tuple[str, bool], Codec] = {
            ("v1", False): JsonCodec(JsonStyle.from_flask(spec.flask)),
            ("v1", True): ProtoCodec(),
            ("v2", False): V2JsonCodec(model),
            ("v2", True): V2ProtoCodec(model),
        }

    def send(self, encoder: Encoder, request: Request) -> Outcome:
        """Process one request; see ``Sender``."""
        is_v2 = encoder.protocol == "v2"
        wire: Any = InferBody(request.body, request.json_size) if is_v2 else request.body
        operation = Operation.PREDICT if is_v2 else self._operation
        future = self._dispatcher.submit(operation, wire, self._codecs[encoder.protocol, encoder.is_grpc])
        try:
            response = future.result(self._timeout)
        except (FutureTimeoutError, TimeoutError):
            future.cancel()
            return Outcome(NO_RESPONSE, text=f"the prediction takes longer than {self._timeout:g} seconds")
        except Exception as error:
            return _describe(error, encoder)
        headers = {name.decode().lower(): value.decode() for name, value in response.headers}
        status = "OK" if encoder.is_grpc else str(response.status or 200)
        return Outcome(status, bytes(response.body), headers)


def _describe(error: Exception, encoder: Encoder) -> Outcome:
    """Return what the server responds to an error."""
    if encoder.protocol == "v2":
        found = describe_v2(error)
        http_status, grpc_status, text = found.http, found.grpc, found.text
    else:
        failure = describe_v1(error)
        http_status, grpc_status, text = failure.http, failure.grpc, failure.info
    cause = error.__cause__ if isinstance(error, ComponentFailed) else None
    if cause is not None:
        text = f"{type(cause).__name__}: {text}"
    trace = "" if cause is None else "".join(traceback.format_exception(cause)).rstrip()
    return Outcome(grpc_status if encoder.is_grpc else str(http_status), text=text, trace=trace)


@contextlib.contextmanager
def run_model(spec: Spec, operation: Operation, timeout: float = _TIMEOUT_SECONDS) -> Iterator[InProcess]:
    """Load the class of a spec in this process.

    Raises:
        SpecError: a secret cannot be read, or a required argument has no value.
        ComponentFailed: the class cannot be imported or built.
    """
    prepared = prepare(spec)
    dispatcher = dispatcher_for(prepared, connect=connect_component)
    log = logging.getLogger(processor.__name__)
    level = log.level
    log.setLevel(logging.CRITICAL)  # the report shows the failures
    try:
        with working_directory(prepared.folder):
            dispatcher.start().result()
            yield InProcess(dispatcher, prepared, operation, timeout)
    finally:
        log.setLevel(level)
        dispatcher.stop()


class Remote:
    """Sends requests to a running server.

    Args:
        urls: of its ports, at most one for each transport.
        credentials: TLS trust and authentication.
        operation: of Seldon's protocol.
        stack: closes the connection of gRPC.

    Attributes:
        rest: the URL of REST; None: there is none.
        model: its name; set before a request of the Open Inference Protocol is sent.
    """

    def __init__(
        self, urls: Sequence[str], credentials: Credentials, operation: Operation, stack: contextlib.ExitStack
    ) -> None:
        self.rest: SplitResult | None = None
        self._call: Any = None
        self._credentials = credentials
        self._operation = operation
        self.model = ""
        for url in urls:
            parts = parse_url(url)
            if parts.scheme.startswith("grpc"):
                self._call = stack.enter_context(open_channel(parts, credentials))
            else:
                self.rest = parts

    @property
    def has_grpc(self) -> bool:
        """Whether there is a URL of gRPC."""
        return self._call is not None

    def send(self, encoder: Encoder, request: Request) -> Outcome:
        """Send one request; see ``Sender``."""
        is_v2 = encoder.protocol == "v2"
        if encoder.is_grpc:
            return self._send_grpc(INFER_PATHS[0] if is_v2 else v1_method(self._operation), request)
        return self._send_rest(v2_path(self.model) if is_v2 else v1_path(self._operation), request)

    def _send_grpc(self, method: str, request: Request) -> Outcome:
        try:
            return Outcome("OK", self._call(method, request.body))
        except NoResponse as error:
            if error.code in (None, "UNAVAILABLE"):
                return Outcome(NO_RESPONSE, text=str(error))
            return Outcome(str(error.code), text=error.details)

    def _send_rest(self, path: str, sent: Request) -> Outcome:
        headers = {**self._credentials.headers(), **sent.headers}
        try:
            status, body, response_headers = self._request("POST", path, sent.body, headers)
        except NoResponse as error:
            return Outcome(NO_RESPONSE, text=str(error))
        found = {name.lower(): value for name, value in response_headers.items()}
        is_ok = status == http.client.OK
        return Outcome(str(status), body, found, "" if is_ok else _read_error(body))

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Mapping[str, str]]:
        assert self.rest is not None
        connection = connect(self.rest, self._credentials)
        return request(connection, method, self.rest.path.rstrip("/") + path, body, headers)

    def get(self, path: str) -> Any:
        """Return the JSON of a page.

        Raises:
            NoResponse: the server cannot be reached, or the response is an error.
        """
        status, body, _ = self._request("GET", path, None, self._credentials.headers())
        if status != http.client.OK:
            raise NoResponse(f"{path} returned {status}: {_read_error(body)}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise NoResponse(f"{path} returned no JSON: {error}") from None

    def call(self, method: str, message: bytes) -> bytes:
        """Return the response to a message of gRPC.

        Raises:
            NoResponse: the server cannot be reached, or the response is an error.
        """
        response: bytes = self._call(method, message)
        return response


def _read_error(body: bytes) -> str:
    """Return the text in the body of an error of either protocol."""
    text = body.decode("utf-8", "replace")
    try:
        tree = json.loads(text)
        return str(tree["error"] if "error" in tree else tree["status"]["info"])
    except (ValueError, KeyError, TypeError):
        return text[:500]


def check_urls(urls: Sequence[str]) -> None:
    """Check the URLs of a server.

    Raises:
        SeldonSpecError: two are of the same transport.
    """
    kinds = [parse_url(url).scheme.startswith("grpc") for url in urls]
    if len(kinds) > len(set(kinds)):
        raise SeldonSpecError("--at accepts one http(s):// URL and one grpc(s):// URL")
