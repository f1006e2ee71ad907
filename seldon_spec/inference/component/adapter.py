"""The user's object as a Component: a request to the hook that answers it, and what it says to a result.

Source: contract sections 3.3, 3.4 and 3.6. Which hooks there are is found once, by ``hooks.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from seldon_spec.config.model import ServiceType, UnitSpec
from seldon_spec.errors import ComponentFailed, ResultError, UnsupportedOperation
from seldon_spec.inference.component.base import MetricsSink
from seldon_spec.inference.component.failure import is_named, user_code
from seldon_spec.inference.component.hooks import (
    NAMES,
    NOT_IMPLEMENTED,
    PlainHook,
    ask,
    call_user,
    find_class_names,
    find_getter,
    find_plain_hooks,
    find_raw_hooks,
    find_score,
    says_not_implemented,
    takes_meta,
)
from seldon_spec.inference.component.metadata import read_metadata
from seldon_spec.inference.message import Message, Operation, RawResult, Request, Result, Transport

logger = logging.getLogger(__name__)

_UNKNOWN_ROUTER = "0"  # the name of a unit without one, in the routing of feedback
_READ_FIRST = frozenset(
    {Operation.PREDICT, Operation.TRANSFORM_INPUT, Operation.TRANSFORM_OUTPUT, Operation.ROUTE, Operation.AGGREGATE}
)
_ROWWISE = frozenset({Operation.PREDICT, Operation.TRANSFORM_INPUT, Operation.TRANSFORM_OUTPUT})
_SCORED = frozenset({Operation.PREDICT, Operation.TRANSFORM_INPUT})


def build_component(
    user_class: Callable[..., Any], parameters: Mapping[str, Any], unit: UnitSpec, service_type: ServiceType
) -> Adapter:
    """Build the user's object, ask for its metadata, and load it.

    Args:
        user_class: the class, or another callable that makes the object.
        parameters: its keyword arguments.
        unit: what the operator says of this place.
        service_type: of an outlier detector the scores are asked, too.

    Raises:
        ComponentFailed: the class raised.
    """
    with user_code():
        user = user_class(**parameters)
    metadata = read_metadata(user, unit)
    _load(user)
    return Adapter(user, unit, service_type, metadata)


def _load(user: object) -> None:
    """Call ``load()`` where there is one; of what it raises, only NotImplementedError means that there is none."""
    load = getattr(user, "load", None)
    if load is None:
        return
    try:
        call_user(load)
    except ComponentFailed as failure:
        if not isinstance(failure.__cause__, NotImplementedError) and not says_not_implemented(failure):
            raise


class Adapter:
    """One object of the user's class.

    Attributes:
        plain, mergeable: see ``Component``.
        error_blueprint: its ``model_error_handler``.
        custom_service: its hook of that name.
        uses_flask: see ``Component``; set by the caller, who has seen the imports.
    """

    def __init__(
        self,
        user: object,
        unit: UnitSpec,
        service_type: ServiceType = ServiceType.MODEL,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._kind = type(user).__name__
        self._unit = unit
        self._metadata = metadata
        self._request_path = {unit.id: unit.image or "NOT_IMPLEMENTED:NOT_IMPLEMENTED"} if unit.id else {}
        self._raw = find_raw_hooks(user)
        plain = find_plain_hooks(user, unit.id or _UNKNOWN_ROUTER)
        self._score = find_score(user) if service_type is ServiceType.OUTLIER_DETECTOR else None
        self._tags = find_getter(user, "tags")
        self._metrics = find_getter(user, "metrics")
        self._class_names = find_class_names(user)
        self._has_told_dimensions = False
        answers: dict[Operation, Callable[[PlainHook | None, Message], Any]] = {
            Operation.PREDICT: self._predict,
            Operation.TRANSFORM_INPUT: _transform,
            Operation.TRANSFORM_OUTPUT: _transform,
            Operation.ROUTE: _route,
            Operation.AGGREGATE: _aggregate,
            Operation.FEEDBACK: _send_feedback,
            Operation.HEALTH: _tell_health,
        }
        self._answers = {operation: partial(answer, plain.get(operation)) for operation, answer in answers.items()}
        self.plain = frozenset(key for key, raw in self._raw.items() if key[0] in _READ_FIRST and not raw)
        self.batchable = frozenset(
            key for key in self.plain if self._score is None and key[0] in plain and _is_rowwise(user, key[0])
        )
        self.error_blueprint: Any = getattr(user, "model_error_handler", None)
        self.custom_service: Callable[[], Any] | None = getattr(user, "custom_service", None)
        self.uses_flask = False
        if service_type is ServiceType.MODEL and Operation.PREDICT not in plain:
            self._warn_of_missing()

    def call(self, request: Request, record: MetricsSink) -> Result | RawResult:
        """Answer one request; see ``Component.call``.

        The order is the contract's (section 3.4): a raw hook answers for all; else the method, the metrics it returned,
        ``metrics()``, then ``class_names`` and ``tags()``; the codec asks for ``class_names``, for it alone knows the
        dimensions.
        """
        operation = request.operation
        if operation is Operation.METADATA:
            return Result(self._metadata)
        if operation is Operation.FEEDBACK:
            self._count_reward(request, record)
        for hook in self._raw[operation, request.codec.transport]:
            answer = ask(hook, request)
            if answer is not NOT_IMPLEMENTED:
                return self._settle_raw(answer, request, record)
        return self._settle(operation, request.message, record)

    def _count_reward(self, request: Request, record: MetricsSink) -> None:
        """Count feedback and its reward, before the class hears of it (contract section 6.2)."""
        reward = request.raw.reward
        if self._unit.has_executor and reward:
            record(
                [
                    {"type": "COUNTER", "key": "seldon_api_model_feedback", "value": 1},
                    {"type": "COUNTER", "key": "seldon_api_model_feedback_reward", "value": reward},
                ]
            )

    def _settle_raw(self, answer: Any, request: Request, record: MetricsSink) -> RawResult:
        metrics, without = request.codec.split_metrics(answer)
        if metrics:
            record(metrics)
        if not self._unit.has_metrics_in_response:
            return RawResult(without)
        return RawResult(request.codec.name_method(answer, request.operation.value) if metrics else answer)

    def call_batch(self, operation: Operation, message: Message) -> Any:
        """See ``Component.call_batch``."""
        payload, tags, metrics = _unwrap(self._answers[operation](message))
        return None if tags or metrics else payload

    def settle(self, operation: Operation, payload: Any, record: MetricsSink) -> Result:
        """See ``Component.settle``."""
        return self._settle_answer(operation, payload, {}, record)

    def _settle(self, operation: Operation, message: Message, record: MetricsSink) -> Result:
        scores = {} if self._score is None else _ask_scores(self._score, operation, message)
        return self._settle_answer(operation, self._answers[operation](message), scores, record)

    def _settle_answer(
        self, operation: Operation, answer: Any, scores: Mapping[str, Any], record: MetricsSink
    ) -> Result:
        payload, tags, metrics = (answer, None, None) if operation is Operation.HEALTH else _unwrap(answer)
        if operation is Operation.FEEDBACK and payload is None:
            payload = np.array([])
        recorded = record(metrics) if metrics is not None else []
        own = [] if self._metrics is None else _ask_metrics(self._metrics, record)
        told = {} if self._tags is None else _ask_tags(self._tags)
        returned = {} if tags is None else _check_tags(tags)
        return Result(
            [[_check_route(payload)]] if operation is Operation.ROUTE else payload,
            self._class_names,
            {**scores, **told, **returned},
            [*own, *recorded] if self._unit.has_metrics_in_response else (),
            self._request_path,
        )

    def _predict(self, hook: PlainHook | None, message: Message) -> Any:
        payload = NOT_IMPLEMENTED if hook is None else ask(hook, message)
        if payload is NOT_IMPLEMENTED:
            return []
        self._tell_dimensions(payload)
        return payload

    def _warn_of_missing(self) -> None:
        if not any(self._raw[Operation.PREDICT, transport] for transport in Transport):
            logger.warning("%s has no predict: every prediction is answered by an empty array", self._kind)

    def _tell_dimensions(self, payload: object) -> None:
        if self._has_told_dimensions or not _is_flat(payload):
            return
        self._has_told_dimensions = True
        logger.warning(
            "%s.predict returned an array with fewer than two dimensions: it is answered as it is, without names of "
            "columns; return one row for each row of X if clients expect a table (told once)",
            self._kind,
        )


def _is_rowwise(user: object, operation: Operation) -> bool:
    """Whether an operation's method is told nothing but rows."""
    return operation in _ROWWISE and not takes_meta(user, NAMES[operation])


def _ask_scores(score: PlainHook, operation: Operation, message: Message) -> dict[str, Any]:
    """An outlier detector's scores; asked before the method, which may change X."""
    scores = ask(score, message) if operation in _SCORED else NOT_IMPLEMENTED
    return {} if scores is NOT_IMPLEMENTED else {"outlierScore": scores}


def _ask_tags(hook: Callable[[], Any]) -> Mapping[str, Any]:
    tags = ask(hook)
    return {} if tags is NOT_IMPLEMENTED else _check_tags(tags)


def _ask_metrics(hook: Callable[[], Any], record: MetricsSink) -> list[dict[str, Any]]:
    metrics = ask(hook)
    return [] if metrics is NOT_IMPLEMENTED else record(metrics)


def _transform(hook: PlainHook | None, message: Message) -> Any:
    """A transformer without this side gives back what it got."""
    payload = NOT_IMPLEMENTED if hook is None else ask(hook, message)
    return message.payload if payload is NOT_IMPLEMENTED else payload


def _route(hook: PlainHook | None, message: Message) -> Any:
    return _demand(hook, message, Operation.ROUTE)


def _aggregate(hook: PlainHook | None, message: Message) -> Any:
    return _demand(hook, message, Operation.AGGREGATE)


def _demand(hook: PlainHook | None, message: Message, operation: Operation) -> Any:
    """The answer of a hook for which nothing can stand in."""
    if hook is None:
        raise UnsupportedOperation(f"{NAMES[operation].capitalize()} not defined")
    payload = ask(hook, message)
    if payload is NOT_IMPLEMENTED:
        raise UnsupportedOperation(f"{NAMES[operation]} is not implemented")
    return payload


def _send_feedback(hook: PlainHook | None, message: Message) -> Any:
    payload = NOT_IMPLEMENTED if hook is None else ask(hook, message)
    return None if payload is NOT_IMPLEMENTED else payload


def _tell_health(hook: PlainHook | None, message: Message) -> Any:
    if hook is None:
        return "healthy"
    told = ask(hook, message)
    return "not implemented - assuming healthy" if told is NOT_IMPLEMENTED else told


def _check_route(branch: Any) -> int:
    """The number of the branch that a router chose; a truth value is none.

    Raises:
        ResultError: it is no integer.
    """
    if isinstance(branch, (int, np.integer)) and not isinstance(branch, bool):
        return int(branch)
    raise ResultError(f"Routing response must be int but got {str(branch)[:200]}")


def _check_tags(tags: Any) -> Mapping[str, Any]:
    """The tags of a hook or a result; what is falsy means none.

    Raises:
        ResultError: they are no mapping.
    """
    if tags is None:
        return {}
    if isinstance(tags, Mapping):
        return tags
    if tags:
        raise ResultError(f"tags are a dict, not {type(tags).__name__}")
    return {}


def _is_flat(payload: object) -> bool:
    """Whether a result is an array or a list of fewer than two dimensions."""
    if isinstance(payload, (list, tuple)):
        return not (payload and (isinstance(payload[0], (list, tuple)) or getattr(payload[0], "ndim", 0) > 0))
    dimensions = getattr(payload, "ndim", None)
    return isinstance(dimensions, int) and dimensions < 2 and hasattr(payload, "shape")


def _unwrap(payload: Any) -> tuple[Any, Mapping[str, Any] | None, Any]:
    """The data, the tags and the metrics of a result; one of seldon_core's SeldonResponse carries all three."""
    if is_named(payload, "SeldonResponse"):
        return payload.data, getattr(payload, "tags", None), getattr(payload, "metrics", None)
    return payload, None, None
