"""The user's object as a Component: selects the hook for a request and builds the response from what it returns.

Source: contract sections 3.3, 3.4 and 3.6. ``hooks.py`` finds the hooks once, at start-up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.model import ServiceType, UnitSpec
from seldon_spec.errors import InferUnsupported, UnsupportedOperation
from seldon_spec.inference.component.arguments import TABLES, Arguments
from seldon_spec.inference.component.base import RecordMetrics
from seldon_spec.inference.component.hooks import (
    NAMES,
    NOT_IMPLEMENTED,
    PlainHook,
    call_hook,
    find_class_names,
    find_getter,
    find_plain_hooks,
    find_raw_hooks,
    find_score,
    takes_meta,
)
from seldon_spec.inference.component.infer import find_infer
from seldon_spec.inference.component.operations import SCORED, find_main, find_validated
from seldon_spec.inference.component.response import build_array_message, build_response_message, merge_meta
from seldon_spec.inference.component.results import check_route, check_tags, is_flat, name_outputs, unwrap
from seldon_spec.inference.component.tensors import tensors_to_array
from seldon_spec.inference.contract.validation import Mode, RequestValidation
from seldon_spec.inference.message import (
    KeepRows,
    Message,
    NamedArrays,
    Operation,
    PayloadType,
    TensorMessage,
    Transport,
)
from seldon_spec.inference.request import Request, Response

logger = logging.getLogger(__name__)

_UNKNOWN_ROUTER = "0"  # the name of a unit without one, in the routing of feedback
_DECODED_FIRST = frozenset(
    {Operation.PREDICT, Operation.TRANSFORM_INPUT, Operation.TRANSFORM_OUTPUT, Operation.ROUTE, Operation.AGGREGATE}
)
_ROWWISE = frozenset({Operation.PREDICT, Operation.TRANSFORM_INPUT, Operation.TRANSFORM_OUTPUT})
_SCORE = "score"
_WITH_ARGUMENTS = (*(NAMES[operation] for operation in (*_ROWWISE, Operation.ROUTE)), _SCORE)
"""The methods that can get a table or an image."""


class Adapter:
    """One object of the user's class.

    Args:
        user: the object.
        unit: what the operator sets for this component.
        service_type: an OUTLIER_DETECTOR also has its scores called.
        metadata: as ``read_metadata`` returns them.
        inputs, outputs: as declared or described.
        validate_requests: what happens to a request that does not match ``inputs``.
        is_runtime: whether the object is a runtime of a model file: requests may have any datatype of numbers whose
            values fit, and a column for an input of shape [N]; results of any dimensions are expected.

    Attributes:
        plain, batchable, metadata, keeps_rows, is_ready: see ``Component``.
        error_blueprint: its ``model_error_handler``.
        custom_service: its hook of that name.
        has_feedback: whether the class has a hook for feedback.
        uses_flask: see ``Component``; set by the caller, who knows the imports.
        inputs, outputs: as declared or, if they are not, as a model file describes them.
    """

    def __init__(
        self,
        user: object,
        unit: UnitSpec,
        service_type: ServiceType = ServiceType.MODEL,
        metadata: Mapping[str, Any] | None = None,
        inputs: Sequence[TensorSpec] = (),
        outputs: Sequence[TensorSpec] = (),
        validate_requests: Mode = "reject",
        *,
        is_runtime: bool = False,
    ) -> None:
        self._class_name = type(user).__name__
        self._unit = unit
        self.metadata = None if metadata is None else dict(metadata)
        self._request_path = {unit.id: unit.image or "NOT_IMPLEMENTED:NOT_IMPLEMENTED"} if unit.id else {}
        self._raw = find_raw_hooks(user)
        plain = find_plain_hooks(user, unit.id or _UNKNOWN_ROUTER)
        self._score = find_score(user) if service_type is ServiceType.OUTLIER_DETECTOR else None
        self._tags = find_getter(user, "tags")
        self._metrics = find_getter(user, "metrics")
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._class_names = find_class_names(user) or name_outputs(outputs)
        is_column = len(outputs) == 1 and outputs[0].shape[1:] in ((), (1,))
        self._has_logged_dimensions = is_runtime or is_column  # it is expected
        methods: dict[Operation, Callable[[PlainHook | None, Message], Any]] = {
            Operation.PREDICT: self._predict,
            Operation.TRANSFORM_INPUT: _transform,
            Operation.TRANSFORM_OUTPUT: _transform,
            Operation.ROUTE: partial(_call_required, operation=Operation.ROUTE),
            Operation.AGGREGATE: partial(_call_required, operation=Operation.AGGREGATE),
            Operation.FEEDBACK: _send_feedback,
            Operation.HEALTH: _health_status,
        }
        self._arguments = Arguments(user, _WITH_ARGUMENTS, inputs)
        self._output = outputs[0] if len(outputs) == 1 else None
        self._methods = {operation: partial(method, plain.get(operation)) for operation, method in methods.items()}
        validation = RequestValidation(inputs, validate_requests, is_lenient=is_runtime) if inputs else None
        self._infer = find_infer(user, inputs, outputs, validation)
        has_tables = not TABLES.isdisjoint(self._arguments.kinds.values())
        self._validation = None if validation is None or (validation.is_off and not has_tables) else validation
        self._accepts = None if self._validation is None else self._validation.quick_check
        self._has_arguments = bool(self._arguments.kinds)
        # nearly all classes: nothing is added to what the methods return
        self._returns_arrays = not (self._tags or self._metrics or self._score or self._infer or self._request_path)
        self._reads_rows = validation is not None and validate_requests == "reject"
        has_raw_predict = any(self._raw[Operation.PREDICT, transport] for transport in Transport)
        has_predict = Operation.PREDICT in plain or has_raw_predict
        self._infers_all = self._infer is not None and not has_predict
        self._main = find_main(service_type, {*plain, *(key[0] for key, raw in self._raw.items() if raw)})
        self._validated = frozenset() if self._validation is None else find_validated(service_type, self._main)
        self.plain = frozenset(
            key
            for key, raw in self._raw.items()
            if key[0] in _DECODED_FIRST and not raw and not (key[0] is Operation.PREDICT and self._has_raw_main(key[1]))
        )
        self.has_feedback = Operation.FEEDBACK in plain or any(
            self._raw[Operation.FEEDBACK, each] for each in Transport
        )
        self.batchable = frozenset(
            key for key in self.plain if self._score is None and self._is_batchable(user, key[0], plain)
        )
        self.error_blueprint: Any = getattr(user, "model_error_handler", None)
        self.custom_service: Callable[[], Any] | None = getattr(user, "custom_service", None)
        self.uses_flask, self.is_ready = False, True
        reads_inputs = self._validation is not None or (validation is not None and self._infer is not None)
        self.keeps_rows = KeepRows.IF_MIXED if reads_inputs else self._arguments.keeps_rows
        if service_type is ServiceType.MODEL and not has_predict and self._infer is None:
            logger.warning("%s has no predict: every prediction returns an empty array", self._class_name)

    def describe_state(self) -> str:
        return "ready"

    def call(self, request: Request, record: RecordMetrics) -> Response:
        """Handle one request; see ``Component.call``.

        The order is the contract's (section 3.4): a raw hook returns the whole response; else the method, the metrics
        that it returned, ``metrics()``, ``tags()`` and ``class_names``.
        """
        operation = request.operation
        is_predict = operation is Operation.PREDICT
        if operation is Operation.METADATA:
            return Response(Message(PayloadType.JSON, self.metadata))
        if operation is Operation.FEEDBACK:
            self._record_reward(request, record)
        if is_predict and self._infer is not None and (self._infers_all or request.codec.has_tensors):
            return self._respond(operation, self._infer(self._read_inputs(request)), request.message, {}, record)
        if is_predict and self._main is not Operation.PREDICT and request.codec.has_tensors:
            operation = self._require_main()
        for hook in self._raw[operation, request.codec.transport]:
            raw = call_hook(hook, request)
            if raw is not NOT_IMPLEMENTED:
                return self._raw_response(raw, request, record)
        message = checked = given = request.message
        if operation in self._validated:
            message = checked = self._check(operation, request, given)
        if self._has_arguments or checked.payload_type is PayloadType.TENSORS:
            message = self._arguments.make(NAMES[operation], checked)
        # before the method, which may change X
        scores = {} if self._score is None else self._call_score(self._score, operation, checked, message)
        result = self._methods[operation](message)
        if result is NOT_IMPLEMENTED:  # a transformer without this hook returns its input
            result = _input_of(given)
        return self._respond(operation, result, given, scores, record)

    def _call_score(
        self, score: PlainHook, operation: Operation, checked: Message, message: Message
    ) -> Mapping[str, Any]:
        """Return the tags of an outlier detector, whose methods share an argument of the same type."""
        if operation not in SCORED:
            return {}
        kinds = self._arguments.kinds
        if kinds.get(_SCORE) is not kinds.get(NAMES[operation]):
            message = self._arguments.make(_SCORE, checked)
        found = call_hook(score, message)
        return {} if found is NOT_IMPLEMENTED else {"outlierScore": found}

    def _require_main(self) -> Operation:
        """Return the operation of a request that names none."""
        if self._main is None:
            raise InferUnsupported(f"{self._class_name} is a router or a combiner: it has no inference")
        return self._main

    def _record_reward(self, request: Request, record: RecordMetrics) -> None:
        """Record feedback and its reward, before the class is called (contract section 6.2)."""
        reward = request.raw.reward
        if self._unit.has_executor and reward:
            record(
                [
                    {"type": "COUNTER", "key": "seldon_api_model_feedback", "value": 1},
                    {"type": "COUNTER", "key": "seldon_api_model_feedback_reward", "value": reward},
                ]
            )

    def _raw_response(self, raw: Any, request: Request, record: RecordMetrics) -> Response:
        codec = request.codec.raw_codec
        metrics, without = codec.split_metrics(raw)
        if metrics:
            record(metrics)
        if not self._unit.has_metrics_in_response:
            raw = without
        elif metrics:
            raw = codec.add_method_tag(raw, request.operation.value)
        return Response(raw=raw, codec=codec)

    def close(self) -> None:
        """Do nothing: the class has no hook for it."""

    def batch_message(self, request: Request) -> Message | None:
        """Return the message whose rows can be joined with others; see ``Component.batch_message``."""
        operation = request.operation
        if operation is Operation.PREDICT and self._infer is not None:
            if self._infers_all or request.codec.has_tensors:
                return self._read_inputs(request) if self._infer.takes_rows else None
        elif operation is Operation.PREDICT and self._main is not Operation.PREDICT and request.codec.has_tensors:
            return None
        message = request.message
        if operation in self._validated:
            message = self._check(operation, request, message)
        if message.payload_type is not PayloadType.TENSORS or NAMES[operation] in self._arguments.kinds:
            return message
        return tensors_to_array(message)

    def _read_inputs(self, request: Request) -> Message:
        """Return the message of a request for the hook ``infer``."""
        if request.checked is None:
            assert self._infer is not None
            request.checked = self._infer.read(request.message)
        return request.checked

    def _check(self, operation: Operation, request: Request, given: Message) -> Message:
        """Return the message of a request with the inputs as they are declared."""
        checked = request.checked
        if checked is None:
            assert self._validation is not None
            checked = given
            if self._accepts is None or not self._accepts(given):
                needs_types = self._arguments.kinds.get(NAMES[operation]) in TABLES
                checked = self._validation.read_table(given, needs_types=needs_types) or given
                if given.payload_type in (PayloadType.TEXT, PayloadType.BINARY):
                    checked = given  # a text or a file stays what it is, whether it is checked or not
            request.checked = checked
        return checked

    def call_batch(self, operation: Operation, message: Message) -> Any:
        """Call the user's code once for several requests; see ``Component.call_batch``."""
        infer = self._infer if operation is Operation.PREDICT and self._is_infer(message) else None
        if infer is None and self._has_arguments:
            result = self._methods[operation](self._arguments.make(NAMES[operation], message))
        else:
            result = self._methods[operation](message) if infer is None else infer(message)
        payload, tags, metrics = unwrap(result)
        if tags or metrics:
            return None
        if payload is NOT_IMPLEMENTED:  # each request is its own response
            raise UnsupportedOperation(f"the class does not implement {operation.value}")
        return payload if infer is None else infer.read_outputs(payload, ())

    def finish_batched(self, request: Request, payload: Any, record: RecordMetrics) -> Response:
        """Return the response to one request of a batch; see ``Component.finish_batched``."""
        return self._respond(request.operation, payload, request.message, {}, record)

    def _respond(
        self, operation: Operation, result: Any, message: Message, scores: Mapping[str, Any], record: RecordMetrics
    ) -> Response:
        """Build the response to a message from what the class returned."""
        if self._returns_arrays and type(result) is np.ndarray and operation in _ROWWISE:
            meta = merge_meta(operation, message, {}, (), {}) if message.meta else {}
            return Response(build_array_message(result, message, meta, self._class_names))
        payload, tags, metrics = (result, None, None) if operation is Operation.HEALTH else unwrap(result)
        if operation is Operation.FEEDBACK and payload is None:
            payload = np.array([])
        if operation is Operation.PREDICT and self._infer is not None and self._is_infer(message):
            payload = self._infer.read_outputs(payload, message.outputs if isinstance(message, TensorMessage) else ())
        recorded = record(metrics) if metrics is not None else []
        own_metrics = NOT_IMPLEMENTED if self._metrics is None else call_hook(self._metrics)
        own = [] if own_metrics is NOT_IMPLEMENTED else record(own_metrics)
        all_tags = scores
        own_tags = NOT_IMPLEMENTED if self._tags is None else call_hook(self._tags)
        if own_tags is not NOT_IMPLEMENTED:
            all_tags = {**all_tags, **check_tags(own_tags)}
        if tags is not None:
            all_tags = {**all_tags, **check_tags(tags)}
        meta = merge_meta(
            operation,
            message,
            all_tags,
            [*own, *recorded] if self._unit.has_metrics_in_response else (),
            self._request_path,
        )
        if operation is Operation.ROUTE:
            payload = [[check_route(payload)]]
        return Response(build_response_message(payload, operation, message, meta, self._class_names, self._output))

    def _is_infer(self, message: Message) -> bool:
        """Return whether a request is for the hook for named tensors."""
        return self._infers_all or (self._infer is not None and message.payload_type is PayloadType.TENSORS)

    def _has_raw_main(self, transport: Transport) -> bool:
        """Return whether a raw hook gets requests of tensors."""
        return self._main is not None and bool(self._raw[self._main, transport])

    def _is_batchable(self, user: object, operation: Operation, plain: Mapping[Operation, PlainHook]) -> bool:
        """Return whether rows of several requests can share a call."""
        if operation is Operation.PREDICT and self._infers_all:
            return self._infer is not None and self._infer.takes_rows
        kind = self._arguments.kinds.get(NAMES[operation])
        if kind is not None and not (kind in TABLES and self._reads_rows and self._infer is None):
            return False
        return operation in plain and _is_rowwise(user, operation)

    def _predict(self, hook: PlainHook | None, message: Message) -> Any:
        payload = NOT_IMPLEMENTED if hook is None else call_hook(hook, message)
        if payload is NOT_IMPLEMENTED:
            return []
        if not self._has_logged_dimensions and getattr(payload, "ndim", 0) != 2 and is_flat(payload):
            self._has_logged_dimensions = True
            logger.warning(
                "%s.predict returned an array with fewer than two dimensions: it is sent as it is, without names of "
                "columns; return one row for each row of X if clients expect a table (logged once)",
                self._class_name,
            )
        return payload


def _is_rowwise(user: object, operation: Operation) -> bool:
    """Return whether an operation's method gets nothing but rows and their names."""
    return operation in _ROWWISE and not takes_meta(user, NAMES[operation])


def _input_of(message: Message) -> Any:
    """Return the payload of a request as the result of a transformer."""
    if message.payload_type is not PayloadType.TENSORS:
        return message.payload
    return NamedArrays({tensor.name: tensor.array for tensor in message.payload})


def _transform(hook: PlainHook | None, message: Message) -> Any:
    """Return what the hook returns; NOT_IMPLEMENTED if there is none."""
    return NOT_IMPLEMENTED if hook is None else call_hook(hook, message)


def _call_required(hook: PlainHook | None, message: Message, operation: Operation) -> Any:
    """Return what the hook returns; there is no default."""
    if hook is None:
        raise UnsupportedOperation(f"{NAMES[operation].capitalize()} not defined")
    payload = call_hook(hook, message)
    if payload is NOT_IMPLEMENTED:
        raise UnsupportedOperation(f"{NAMES[operation]} is not implemented")
    return payload


def _send_feedback(hook: PlainHook | None, message: Message) -> Any:
    payload = NOT_IMPLEMENTED if hook is None else call_hook(hook, message)
    return None if payload is NOT_IMPLEMENTED else payload


def _health_status(hook: PlainHook | None, message: Message) -> Any:
    if hook is None:
        return "healthy"
    status = call_hook(hook, message)
    return "not implemented - assuming healthy" if status is NOT_IMPLEMENTED else status
