"""The hooks of the user's object and how to call each, found once, when the object is built.

Source: contract sections 3.3 and 3.4, without their bugs: a signature is inspected, never tried.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable
from functools import partial
from types import CoroutineType
from typing import Any, TypeAlias

from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.component import forks
from seldon_spec.inference.component.failure import is_named, user_code, without_own_frames
from seldon_spec.inference.component.signature import Binding, bind, call_with
from seldon_spec.inference.message import FeedbackMessage, Message, Operation, Transport
from seldon_spec.inference.model_loop import run_to_completion
from seldon_spec.inference.request import Request

logger = logging.getLogger(__name__)

PlainHook: TypeAlias = Callable[[Message], Any]
"""Takes the message; calls the user's method with all arguments that its signature accepts."""

RawHook: TypeAlias = Callable[[Request], Any]
"""Takes the request; calls the user's method with its raw form."""

NAMES: dict[Operation, str] = {
    Operation.PREDICT: "predict",
    Operation.TRANSFORM_INPUT: "transform_input",
    Operation.TRANSFORM_OUTPUT: "transform_output",
    Operation.ROUTE: "route",
    Operation.AGGREGATE: "aggregate",
    Operation.FEEDBACK: "send_feedback",
    Operation.HEALTH: "health_status",
}
"""The method of each operation; ``metadata`` has none, because it is read once, at start-up."""


class _NotImplemented:
    """The type of ``NOT_IMPLEMENTED``."""


NOT_IMPLEMENTED = _NotImplemented()
"""The result of ``call_hook`` for a hook that raises ``SeldonNotImplementedError``."""


def call_user(hook: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the user's code, and wait for it if it is a coroutine.

    Raises:
        ComponentFailed: it raised.
    """
    try:  # not the context manager ``user_code``, which costs more than the rest of a call
        result = hook(*args, **kwargs)
        if isinstance(result, CoroutineType):
            result = run_to_completion(result)
    except BaseException as error:
        if forks.is_child:
            forks.end_child(without_own_frames(error))
        raise ComponentFailed(str(error)) from without_own_frames(error)
    if forks.is_child:
        forks.end_child()
    return result


def call_hook(hook: Callable[..., Any], *args: Any) -> Any:
    """Return what a hook returns; NOT_IMPLEMENTED if it raises ``SeldonNotImplementedError``.

    Raises:
        ComponentFailed: it raised anything else.
    """
    try:
        return hook(*args)
    except ComponentFailed as failure:
        if not is_not_implemented(failure):
            raise
        return NOT_IMPLEMENTED


def is_not_implemented(failure: ComponentFailed) -> bool:
    """Return whether the user's code raised ``SeldonNotImplementedError``."""
    return failure.__cause__ is not None and is_named(failure.__cause__, "SeldonNotImplementedError")


def find_getter(user: object, name: str) -> Callable[[], Any] | None:
    """Return the hook of this name, which has no arguments; None if there is none."""
    with user_code():
        hook: Callable[[], Any] | None = getattr(user, name, None)
    return None if hook is None else lambda: call_user(hook)


def find_plain_hooks(user: object, unit_id: str) -> dict[Operation, PlainHook]:
    """Return the method of each operation that the object has; one that is None fails when it is called.

    Args:
        user: the object.
        unit_id: the name of the component in the routing of feedback.
    """
    others = (Operation.FEEDBACK, Operation.HEALTH)
    found: dict[Operation, PlainHook] = {
        operation: _data_hook(user, name)
        for operation, name in NAMES.items()
        if operation not in others and hasattr(user, name)
    }
    if hasattr(user, "send_feedback"):
        found[Operation.FEEDBACK] = _feedback_hook(user, unit_id)
    if hasattr(user, "health_status"):
        health = getattr(user, "health_status")  # noqa: B009 - the object's type is not known here
        found[Operation.HEALTH] = lambda _message: call_user(health)
    return found


def find_score(user: object) -> PlainHook | None:
    """Return the ``score`` of an outlier detector, which gets X and names (contract section 3.6), or None."""
    return _data_hook(user, "score") if hasattr(user, "score") else None


def takes_meta(user: object, name: str) -> bool:
    """Return whether a method gets the request's ``meta``."""
    return _bind_data(user, name).has("meta")


def find_payload_parameter(user: object, name: str) -> inspect.Parameter | None:
    """Return the parameter of a method that gets the payload; None: its signature does not show it."""
    try:
        parameters = list(inspect.signature(getattr(user, name)).parameters.values())
    except (TypeError, ValueError):
        return None
    binding = _bind_data(user, name)
    if "payload" in binding.positional:
        return next(iter(parameters[binding.positional.index("payload") :]), None)
    keyword = next((keyword for keyword, value in binding.keywords if value == "payload"), None)
    return next((parameter for parameter in parameters if parameter.name == keyword), None)


_WITHOUT_META = frozenset({"aggregate", "score"})  # unless a parameter has its name (contract section 3.3)


def _data_hook(user: object, name: str) -> PlainHook:
    return call_with(_bind_data(user, name), partial(call_user, getattr(user, name)))


def _bind_data(user: object, name: str) -> Binding:
    return bind(user, name, ("payload", "names"), "meta", forwards=False, fills=name not in _WITHOUT_META)


def _feedback_hook(user: object, unit_id: str) -> PlainHook:
    """Return the hook for feedback; it gets the branch that this component chose if it has a parameter for it."""
    binding = bind(user, "send_feedback", ("payload", "names", "reward", "truth"), "routing", forwards=True)

    def read(message: FeedbackMessage, value: str) -> Any:
        return message.routing.get(unit_id) if value == "routing" else getattr(message, value)

    return call_with(binding, partial(call_user, getattr(user, "send_feedback")), read)  # noqa: B009 - as above


def find_raw_hooks(user: object) -> dict[tuple[Operation, Transport], tuple[RawHook, ...]]:
    """Return the hooks that take raw requests, in order, for each operation and transport (contract section 3.4)."""
    found: dict[tuple[Operation, Transport], tuple[RawHook, ...]] = {}
    for operation, name in NAMES.items():
        for transport in Transport:
            names = _raw_names(operation, name, transport)
            found[operation, transport] = tuple(_raw_hook(user, raw, operation) for raw in names if hasattr(user, raw))
    endings = [transport.value for transport in Transport]
    old = [f"{name}_{end}" for name in NAMES.values() for end in endings if hasattr(user, f"{name}_{end}")]
    if old:
        logger.warning("%s has deprecated hooks: %s; use *_raw instead", type(user).__name__, ", ".join(old))
    return found


def _raw_names(operation: Operation, name: str, transport: Transport) -> tuple[str, ...]:
    if operation is Operation.HEALTH:
        return (f"{name}_raw",)
    if operation is Operation.FEEDBACK:  # it is protobuf on both transports, so each of them can call either
        return (f"{name}_rest", f"{name}_grpc", f"{name}_raw")
    return (f"{name}_{transport.value}", f"{name}_raw")


def _raw_hook(user: object, name: str, operation: Operation) -> RawHook:
    hook = getattr(user, name)
    if operation is Operation.HEALTH:
        return lambda _request: call_user(hook)
    if name == "send_feedback_rest":
        return lambda request: _or_empty(call_user(hook, json.dumps(request.codec.raw_to_tree(request.raw))))
    if name == "send_feedback_grpc":
        return lambda request: _or_empty(call_user(hook, request.raw))
    return lambda request: call_user(hook, request.raw)


def _or_empty(response: Any) -> Any:
    """Return the response of a deprecated feedback hook, which may return nothing."""
    return {} if response is None else response


def find_class_names(user: object) -> Callable[[Any], Any] | None:
    """Return a function from the default column names to those of the class; None if it has no ``class_names``.

    Each response calls a method, and reads an attribute or a property, again. The names are the default ones if the
    class raises ``SeldonNotImplementedError``.
    """
    static = inspect.getattr_static(user, "class_names", None)
    if static is None and not hasattr(user, "class_names"):
        return None
    is_method = callable(static) or isinstance(static, (classmethod, staticmethod))

    def read() -> Any:
        value = getattr(user, "class_names")  # noqa: B009 - the object's type is not known here
        return value() if is_method else value

    def name_columns(default: Any) -> Any:
        names = call_hook(call_user, read)
        return default if names is NOT_IMPLEMENTED else names

    return name_columns
