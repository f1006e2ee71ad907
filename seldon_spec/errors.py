"""The errors of this package, and the diagnostics that some of them carry.

One of the lowest layers: depends on no YAML, command line or transport.
"""

from __future__ import annotations

from seldon_spec.diagnostics import DEFAULT_ORIGIN as DEFAULT_ORIGIN
from seldon_spec.diagnostics import Diagnostic as Diagnostic
from seldon_spec.diagnostics import FieldPath as FieldPath
from seldon_spec.diagnostics import Origin as Origin
from seldon_spec.diagnostics import OriginKind as OriginKind
from seldon_spec.diagnostics import Position as Position
from seldon_spec.diagnostics import Severity as Severity
from seldon_spec.diagnostics import is_index as is_index
from seldon_spec.report import render_text, summarise


def short_repr(value: object, limit: int = 200) -> str:
    """Return the ``repr`` of a value, cut to ``limit`` characters; the name of its type if ``repr`` fails."""
    try:
        text = repr(value)
    except Exception:  # of the user's own class
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}... ({type(value).__name__})"


class SeldonSpecError(Exception):
    """Base class of this package's errors; the tables of exit codes and statuses cover each subclass.

    Attributes:
        component: the component of a graph that raised it, in a nested graph after the names of the graphs around it
            (``outer/inner``); errors that are sent to clients begin with it.
    """

    component: str | None = None


class Stopped(BaseException):
    """A signal ends the process: raised on the main thread, possibly inside the user's code."""


class SpecError(SeldonSpecError):
    """The file, the environment, the flags or the class are invalid; its text is what ``validate`` prints.

    Attributes:
        diagnostics: every finding.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return render_text(self.diagnostics) + summarise(self.diagnostics, "the spec")


class ComponentFailed(SeldonSpecError):
    """The user's code raised an exception, which is ``__cause__``.

    Attributes:
        trace: text of the traceback, if the exception was raised in another process.
    """

    trace: str | None = None


class RequestError(SeldonSpecError):
    """The request cannot be processed; the message is sent to the client."""


class PayloadError(RequestError):
    """The contract does not allow the message of the request."""


class UnsupportedMediaType(RequestError):
    """The media type or encoding of the request body is not supported."""


class TooLarge(RequestError):
    """The request exceeds the configured size limit."""


class MalformedRequest(RequestError):
    """The bytes are not a valid request of the transport protocol."""


class HeadTooLarge(RequestError):
    """The request head exceeds the size limit."""


class ClientTooSlow(RequestError):
    """The rest of the request did not arrive in time."""


class Unauthenticated(RequestError):
    """The request has no valid token."""


class Overloaded(RequestError):
    """A limit of the server is reached, such as ``server.max_queue``."""


class UnsupportedOperation(RequestError):
    """The component has no hook for the requested operation."""


class InferUnsupported(UnsupportedOperation):
    """The component is a router or a combiner, which has no inference of its own."""


class CorruptMessage(MalformedRequest):
    """A message of gRPC cannot be decompressed."""


class UnknownModel(RequestError):
    """The request names a model or a version that is not served here."""


class ResultError(RequestError):
    """The user's code returned a value that no payload type can represent."""


class InvalidRouting(ResultError):
    """A router returned a branch that its graph does not have."""


class CannotCombine(ResultError):
    """The responses of several branches have no mean."""


class UnwritableResult(ResultError):
    """The payload type of the result is right, but a value in it cannot be encoded."""


class BadMetadata(RequestError):
    """The contract does not allow the metadata of the class."""


class BadMetric(RequestError):
    """The user's code returned a metric that the contract does not allow."""


class RequestTimeout(RequestError):
    """The response was not ready within ``server.request_timeout_seconds``."""


class NotServing(RequestError):
    """The server is starting or stopping and accepts no requests."""


class RemoteFailed(RequestError):
    """The server of a component returned an error, or could not be reached; the client gets the same error.

    Args:
        info: the text of the error.
        http: the HTTP status.
        grpc: the name of the gRPC code.
        reason: of Seldon's ``status``; None: the usual one of the HTTP status.
        code: of Seldon's ``status``.

    Attributes:
        has_response: whether the server has returned the error; False: there was no response.
        request_id: the ID that the server has sent with the error.
    """

    has_response = True
    request_id: str | None = None

    def __init__(self, info: str, http: int, grpc: str, reason: str | None = None, code: int = -1) -> None:
        super().__init__(info)
        self.http, self.grpc, self.reason, self.code = http, grpc, reason, code


class BindFailed(SeldonSpecError):
    """A port of the spec cannot be bound.

    Attributes:
        others: errors of further ports, if several failed.
    """

    def __init__(self, key: str, host: str, port: int, reason: str, origin: Origin = DEFAULT_ORIGIN) -> None:
        self.key, self.host, self.port, self.reason, self.origin = key, host, port, reason, origin
        self.others: tuple[BindFailed, ...] = ()
        super().__init__(f"{key}: cannot listen on {host}:{port}: {reason}")
