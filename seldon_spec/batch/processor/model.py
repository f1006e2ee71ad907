"""The deployment that lines are sent to."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from seldon_spec.batch.json_text import write_json
from seldon_spec.batch.predictions import NotByRow, Predictions
from seldon_spec.batch.processor.form import Form, Method, prepare, read_response
from seldon_spec.batch.processor.lines import NumberedLines
from seldon_spec.batch.rows import Rows
from seldon_spec.calls.errors import CallFailed
from seldon_spec.calls.target import Outgoing, Target
from seldon_spec.inference.message import Operation
from seldon_spec.remote.failures import limit_seconds

_TIMEOUT_SECONDS = 300
_READY_SECONDS = 5
_OPERATIONS = {Method.PREDICT: Operation.PREDICT, Method.FEEDBACK: Operation.FEEDBACK}


class Deployment:
    """A deployment; see ``scorer.Model``. A prediction is the text of a response.

    Args:
        target: of the requests.
        form: of the requests.
        interval: the least time of a request, in seconds: a faster one waits before the next begins.
        stopping: set when nothing is to be waited for any more.
    """

    def __init__(self, target: Target, form: Form, interval: float, stopping: threading.Event) -> None:
        self._target = target
        self._form = form
        self._interval = interval
        self._stopping = stopping

    def predict(self, rows: Rows) -> Predictions:
        assert isinstance(rows, NumberedLines)
        request = prepare(rows, self._form, is_grpc=self._target.is_grpc)
        end = time.monotonic() + self._interval
        try:
            response = self._send(request.body, rows.request_id)
        finally:
            if self._interval:
                self._stopping.wait(max(0.0, end - time.monotonic()))
        trees = [response] if len(rows) == 1 else _split(response, len(rows))
        tags = rows.list_tags(self._form.batch_id)
        texts = [
            write_json(_add_tags(tree, earlier, own))
            for tree, earlier, own in zip(trees, request.line_tags, tags, strict=True)
        ]
        return Predictions((), None, texts=texts)

    def is_ready(self) -> bool:
        try:
            self._target.check_ready("", limit_seconds(_READY_SECONDS, "not ready"), is_v2=False)
        except CallFailed:
            return False
        return True

    def _send(self, body: bytes, request_id: str) -> dict[str, Any]:
        """Return the JSON of the response.

        Raises:
            CallFailed: there is none.
        """
        text = f"no response from {self._target.address} within {_TIMEOUT_SECONDS} seconds"
        outgoing = Outgoing(_OPERATIONS[self._form.method], body, request_id)
        response = self._target.send(outgoing, limit_seconds(_TIMEOUT_SECONDS, text))
        try:
            return read_response(response.body, is_grpc=self._target.is_grpc)
        except ValueError as error:
            reason = f"the response is no message of Seldon's protocol: {error}"
            raise CallFailed(reason, 502, "INTERNAL", request_id=response.request_id) from None


def _add_tags(response: dict[str, Any], earlier: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a response with tags.

    Args:
        response: of the deployment, whose tags override the earlier ones.
        earlier: those of the line.
        own: those that identify the line.
    """
    meta = _as_object(response.get("meta"))
    return {**response, "meta": {**meta, "tags": {**earlier, **_as_object(meta.get("tags")), **own}}}


def _as_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _split(response: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Return a response for each row of a response.

    Raises:
        NotByRow: it does not have as many rows.
    """
    data = _as_object(response.get("data"))
    rows = data.get("ndarray")
    if isinstance(rows, list) and len(rows) == count:
        return [{**response, "data": {**data, "ndarray": [row]}} for row in rows]
    tensor = _as_object(data.get("tensor"))
    shape, values = tensor.get("shape"), tensor.get("values")
    if isinstance(shape, list) and shape[:1] == [count] and isinstance(values, list):
        size = len(values) // count
        parts = [values[index * size : (index + 1) * size] for index in range(count)]
        return [{**response, "data": {**data, "tensor": {"shape": [1, *shape[1:]], "values": part}}} for part in parts]
    raise NotByRow(f"the response has no array with {count} rows")
