"""The predictions of a model for rows, with retries, and with the rows that cannot be predicted set apart."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from seldon_spec.batch.number_text import read_response, write_request
from seldon_spec.batch.predictions import NotByRow, Predictions, read_value
from seldon_spec.batch.rows import Rows
from seldon_spec.calls import seldon_format
from seldon_spec.calls.client import Client
from seldon_spec.calls.errors import CallFailed, CallTimeout, NoConnection
from seldon_spec.calls.target import Outgoing
from seldon_spec.calls.values import restore
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.remote.failures import limit_seconds

_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 10.0

_OVERLOADED = frozenset({429, 502, 503})
"""The statuses of a server that may accept the same request later; INTERNAL is a response that cannot be read."""

_TIMEOUT = 504

_WRONG_TARGET = frozenset({401, 403, 404, 405, 501})
"""The statuses that every request would get."""

_TOO_LARGE = 413


class BatchStopped(SeldonSpecError):
    """The model cannot be reached, or rejects every request; the run can be continued."""


class NothingPredicted(SeldonSpecError):
    """No row has a prediction that can be written."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows with their predictions."""

    rows: Rows
    predictions: Predictions


@dataclass(frozen=True, slots=True)
class Failed:
    """One row without a prediction, and the reason."""

    rows: Rows
    reason: str


Outcome = Scored | Failed


def list_waits(retries: int) -> Iterator[float]:
    """Yield the seconds before each retry: twice as long each time, and varied so that clients do not meet again."""
    wait = _FIRST_WAIT_SECONDS
    for _ in range(retries):
        yield wait * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)


class Model(Protocol):
    """Predicts rows; called from any thread."""

    def predict(self, rows: Rows) -> Predictions:
        """Return the predictions of rows.

        Raises:
            CallFailed: there are none.
            NotByRow: the response has no prediction for each row.
            ValueError: a row cannot be sent.
        """

    def is_ready(self) -> bool:
        """Return whether the model accepts requests."""


class ClientModel:
    """A model behind a client.

    Args:
        client: of a server or of this process.
        names: of the columns that are sent; empty: none.
        timeout: of a request, in seconds.
    """

    def __init__(self, client: Client, names: Sequence[str], timeout: float) -> None:
        self._client = client
        self._names = list(names)
        self._timeout = timeout
        self._codec = JsonCodec()

    def predict(self, rows: Rows) -> Predictions:
        numbers = rows.to_numbers() if self._takes_text() else None
        if numbers is not None:
            try:
                return self._predict_numbers(rows, numbers)
            except CallFailed as error:
                if error.http_status not in (400, 404):  # a text that is no JSON, or another protocol
                    raise
        result = self._client.call("predict", rows.to_message(), timeout=self._timeout)
        return read_value(result.value, result.names, len(rows))

    def is_ready(self) -> bool:
        return self._client.ready(timeout=min(self._timeout, 5.0))

    def _takes_text(self) -> bool:
        return not self._client.target.is_grpc and self._client.protocol != "v2"

    def _predict_numbers(self, rows: Rows, numbers: Sequence[bytes]) -> Predictions:
        """Return the predictions of rows of numbers, whose text is neither read nor written anew."""
        target = self._client.target
        request = Outgoing(Operation.PREDICT, write_request(self._names, numbers), uuid.uuid4().hex)
        limit = limit_seconds(self._timeout, f"no response from {target.address} within {self._timeout:g} seconds")
        response = target.send(request, limit)
        found = read_response(response.body, len(rows))
        if found is not None:
            return found
        sent = rows.to_message()
        message = seldon_format.decode(self._codec, response, sent)
        return read_value(restore(message, sent), list(map(str, message.names or ())), len(rows))


class Scorer:
    """Predicts rows; called from any thread.

    Args:
        model: that predicts.
        retries: how often a request is repeated that the server did not accept.
        stopping: set when no request is to be repeated any more.

    Attributes:
        is_overloaded: whether the server has rejected a request since this was last reset.
        single_rows: whether rows are sent one by one, because the model does not predict row by row.
        max_rows: of a request that is not too large; None: not known.
    """

    def __init__(self, model: Model, retries: int, stopping: threading.Event) -> None:
        self._model = model
        self._retries = retries
        self._stopping = stopping
        self.is_overloaded = False
        self.single_rows = False
        self.max_rows: int | None = None

    def score(self, rows: Rows) -> list[Outcome]:
        """Return what became of rows, in order.

        Raises:
            BatchStopped: the model cannot be reached, or rejects every request.
        """
        limit = 1 if self.single_rows else self.max_rows or len(rows)
        if len(rows) > limit:
            return self._split(rows, limit)
        try:
            return [Scored(rows, self._call(rows))]
        except NotByRow as error:
            if len(rows) == 1:
                return [Failed(rows, str(error))]
            self.single_rows = True
            return self._split(rows, 1)
        except (ValueError, CallFailed) as error:
            if isinstance(error, CallFailed) and error.http_status in _WRONG_TARGET:
                raise BatchStopped(str(error)) from None
            if len(rows) == 1:
                return [Failed(rows, error.info if isinstance(error, CallFailed) else str(error))]
            half = (len(rows) + 1) // 2
            if isinstance(error, CallFailed) and error.http_status == _TOO_LARGE:
                self.max_rows = min(half, self.max_rows or half)
            return self._split(rows, half)

    def _split(self, rows: Rows, size: int) -> list[Outcome]:
        found: list[Outcome] = []
        for start in range(0, len(rows), size):
            found += self.score(rows.part(start, min(start + size, len(rows))))
        return found

    def _call(self, rows: Rows) -> Predictions:
        """Return the predictions of rows; repeat a request that the server did not accept.

        Raises:
            BatchStopped: the model cannot be reached.
            CallFailed, ValueError, NotByRow: as ``Model.predict`` raises.
        """
        for wait in (*list_waits(self._retries), None):
            try:
                return self._model.predict(rows)
            except CallFailed as error:  # noqa: PERF203 - far cheaper than the call
                is_timeout = isinstance(error, CallTimeout) or error.http_status == _TIMEOUT
                is_lost = isinstance(error, NoConnection)
                is_rejected = error.http_status in _OVERLOADED and error.grpc_code != "INTERNAL" and not is_lost
                if not (is_timeout or is_rejected or is_lost) or (is_timeout and len(rows) > 1):
                    raise
                self.is_overloaded = True
                if wait is not None and not self._stopping.wait(wait):
                    continue
                if is_rejected or self._stopping.is_set() or not self._model.is_ready():
                    raise BatchStopped(str(error)) from None
                raise  # the server accepts other requests
        raise AssertionError
