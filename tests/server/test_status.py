"""The tables of errors: every error has a status and a reason, and the response that a client receives."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from seldon_spec import errors
from seldon_spec.errors import ComponentFailed, PayloadError, RemoteFailed, RequestError, SeldonSpecError
from seldon_spec.protocols.open_inference_v2.errors import describe as describe_v2
from seldon_spec.protocols.seldon_v1.errors import REASONS, describe, describe_http
from seldon_spec.protocols.status import STATUSES, ErrorStatus, find_by_class


def _below(kind: type[SeldonSpecError]) -> Iterator[type[SeldonSpecError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


REQUEST_ERRORS = sorted({*_below(RequestError), ComponentFailed}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", REQUEST_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_a_request_has_a_status_and_a_reason(kind: type[SeldonSpecError]) -> None:
    assert kind in STATUSES
    assert kind in REASONS
    assert kind.__module__ != errors.__name__ or hasattr(errors, kind.__name__)


@pytest.mark.parametrize("status", STATUSES.values(), ids=lambda status: status.grpc)
def test_statuses_are_those_of_http_and_grpc(status: ErrorStatus) -> None:
    assert 400 <= status.http <= 599
    assert status.grpc in grpc.StatusCode.__members__


def test_a_subclass_inherits_the_status_of_its_parent() -> None:
    class Special(PayloadError):
        pass

    assert find_by_class(STATUSES, Special) is STATUSES[PayloadError]
    assert find_by_class(STATUSES, KeyError).http == 500


class SeldonMicroserviceException(Exception):
    def __init__(self, message: str, status_code: object = 400, reason: str = "MICROSERVICE_BAD_DATA") -> None:
        self.message, self.status_code, self.reason = message, status_code, reason


class WithDict(SeldonMicroserviceException):
    def to_dict(self) -> dict[str, object]:
        return {"status": {"status": 1, "info": "told", "code": 77, "reason": "OWN"}}


class Broken(SeldonMicroserviceException):
    def to_dict(self) -> dict[str, object]:
        raise ValueError


def failed(cause: BaseException) -> ComponentFailed:
    error = ComponentFailed(str(cause))
    error.__cause__ = cause
    return error


CAUSES = {
    "plain": (ValueError("mine"), (500, "MICROSERVICE_INTERNAL_ERROR", "mine", -1)),
    "seldon": (SeldonMicroserviceException("told", 418, "OWN"), (418, "OWN", "told", -1)),
    "seldon-odd-status": (SeldonMicroserviceException("told", "418"), (500, "MICROSERVICE_BAD_DATA", "told", -1)),
    "seldon-fine-status": (SeldonMicroserviceException("told", 200), (500, "MICROSERVICE_BAD_DATA", "told", -1)),
    "seldon-dict": (WithDict("hidden", 409), (409, "OWN", "told", 77)),
    "seldon-broken": (Broken("told", 409), (409, "MICROSERVICE_BAD_DATA", "told", -1)),
}


@pytest.mark.parametrize(("cause", "expected"), CAUSES.values(), ids=CAUSES.keys())
def test_the_users_exceptions(cause: BaseException, expected: tuple[int, str, str, int]) -> None:
    failure = describe(failed(cause))
    assert (failure.http, failure.reason, failure.info, failure.code) == expected
    assert failure.details == f"Exception calling application: {failure.info}"


def test_other_exceptions_with_a_status_are_plain_failures() -> None:
    class Custom(Exception):
        status_code = 418
        message = "hidden"

    assert describe(failed(Custom("mine"))).http == 500


def test_details_fit_into_a_header() -> None:
    assert len(describe(PayloadError("x" * 100_000)).details) < 4000


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "MICROSERVICE_NOT_FOUND"),
        (405, "MICROSERVICE_METHOD_NOT_ALLOWED"),
        (400, "MICROSERVICE_BAD_DATA"),
        (413, "MICROSERVICE_BAD_DATA"),
        (500, "MICROSERVICE_INTERNAL_ERROR"),
        (599, "MICROSERVICE_HTTP_ERROR"),
    ],
)
def test_errors_of_http_itself(status: int, reason: str) -> None:
    assert describe_http(status, "text").body == {"status": {"status": 1, "info": "text", "code": -1, "reason": reason}}


REMOTE: dict[str, tuple[RemoteFailed, tuple[int, str, str, int]]] = {
    "all of it": (RemoteFailed("no tea", 418, "ABORTED", "TEAPOT", 7), (418, "ABORTED", "TEAPOT", 7)),
    "bad data": (
        RemoteFailed("no tea", 400, "INVALID_ARGUMENT"),
        (400, "INVALID_ARGUMENT", "MICROSERVICE_BAD_DATA", -1),
    ),
    "refused": (RemoteFailed("no tea", 503, "UNAVAILABLE"), (503, "UNAVAILABLE", "MICROSERVICE_UNAVAILABLE", -1)),
    "late": (RemoteFailed("no tea", 504, "DEADLINE_EXCEEDED"), (504, "DEADLINE_EXCEEDED", "MICROSERVICE_TIMEOUT", -1)),
    "failed": (RemoteFailed("no tea", 500, "UNKNOWN"), (500, "UNKNOWN", "MICROSERVICE_INTERNAL_ERROR", -1)),
}


@pytest.mark.parametrize(("error", "expected"), REMOTE.values(), ids=REMOTE)
def test_the_error_of_another_server_keeps_its_status(error: RemoteFailed, expected: tuple[int, str, str, int]) -> None:
    error.component = "far"
    failure = describe(error)
    assert (failure.http, failure.grpc, failure.reason, failure.code) == expected
    found = describe_v2(error)
    assert (found.http, found.grpc) == (expected[0], expected[1].replace("UNKNOWN", "INTERNAL"))
    assert failure.info == found.text == "component far: no tea"
