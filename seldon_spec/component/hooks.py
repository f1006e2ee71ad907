"""The hooks of the user's object: which there are and how each is called, found once, when the object is built.

Source: contract sections 3.3 and 3.4, without their bugs: nobody's signature is guessed by calling it.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from types import CoroutineType
from typing import Any, TypeAlias

from seldon_spec.component import forks
from seldon_spec.component.failure import is_named, user_code, without_own_frames
from seldon_spec.component.model_loop import run_to_completion
from seldon_spec.errors import ComponentFailed
from seldon_spec.payload.message import FeedbackMessage, Message, Request, Transport, Verb

logger = logging.getLogger(__name__)

PlainHook: TypeAlias = Callable[[Message], Any]
"""Takes the message, calls the user's method in the fullest way that its signature allows."""

RawHook: TypeAlias = Callable[[Request], Any]
"""Takes the request in the form of its wire."""

NAMES: dict[Verb, str] = {
    Verb.PREDICT: "predict",
    Verb.TRANSFORM_INPUT: "transform_input",
    Verb.TRANSFORM_OUTPUT: "transform_output",
    Verb.ROUTE: "route",
    Verb.AGGREGATE: "aggregate",
    Verb.FEEDBACK: "send_feedback",
    Verb.HEALTH: "health_status",
}
"""The method of each verb; ``metadata`` has none, for it is asked once, at start."""


class _NotImplemented:
    """What ``ask`` gives for a hook that says it is not implemented."""


NOT_IMPLEMENTED = _NotImplemented()


def call_user(hook: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the user's code, and wait for it if it is a coroutine.

    Raises:
        ComponentFailed: it raised.
    """
    try:  # not the context manager, which costs more than all the rest of a call
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


def ask(hook: Callable[..., Any], *args: Any) -> Any:
    """What a hook says; NOT_IMPLEMENTED if it says that it is not implemented.

    Raises:
        ComponentFailed: it raised anything else.
    """
    try:
        return hook(*args)
    except ComponentFailed as failure:
        if not says_not_implemented(failure):
            raise
        return NOT_IMPLEMENTED


def says_not_implemented(failure: ComponentFailed) -> bool:
    """Whether the user's code raised ``seldon_core``'s word for a hook that is not implemented."""
    return failure.__cause__ is not None and is_named(failure.__cause__, "SeldonNotImplementedError")


def find_getter(user: object, name: str) -> Callable[[], Any] | None:
    """A hook without arguments; None if there is none."""
    with user_code():
        hook: Callable[[], Any] | None = getattr(user, name, None)
    return None if hook is None else lambda: call_user(hook)


def find_plain_hooks(user: object, unit_id: str) -> dict[Verb, PlainHook]:
    """The method of each verb that the object has one for; one that is there but None fails when it is called."""
    found = {verb: make(getattr(user, NAMES[verb])) for verb, make in _SHAPES.items() if hasattr(user, NAMES[verb])}
    feedback = find_feedback_hook(user, unit_id)
    return found if feedback is None else {**found, Verb.FEEDBACK: feedback}


def find_score(user: object) -> PlainHook | None:
    """The ``score`` of an outlier detector, called with X and names (contract section 3.6)."""
    return _names_hook(getattr(user, "score")) if hasattr(user, "score") else None  # noqa: B009


def takes_meta(hook: Callable[..., Any]) -> bool:
    """Whether a method is told the request's ``meta``."""
    return _binds(hook, None, None, meta=None)


def _data_hook(hook: Callable[..., Any]) -> PlainHook:
    if takes_meta(hook):
        return lambda message: call_user(hook, message.payload, message.names, meta=message.meta)
    return _names_hook(hook)


def _names_hook(hook: Callable[..., Any]) -> PlainHook:
    if _binds(hook, None, None) or not _binds(hook, None):
        return lambda message: call_user(hook, message.payload, message.names)
    return lambda message: call_user(hook, message.payload)


def find_feedback_hook(user: object, unit_id: str) -> PlainHook | None:
    """The hook for feedback, which also hears which branch this unit had taken, where it has an argument for that.

    Args:
        user: the object.
        unit_id: the name under which the unit's branch stands in the routing.
    """
    if not hasattr(user, "send_feedback"):
        return None
    hook = user.send_feedback
    has_routing = _binds(hook, None, None, None, None, routing=None) or not _binds(hook, None, None, None, None)

    def send(message: Message) -> Any:
        assert isinstance(message, FeedbackMessage)
        routing = {"routing": message.routing.get(unit_id)} if has_routing else {}
        return call_user(hook, message.payload, message.names, message.reward, message.truth, **routing)

    return send


def _health_hook(hook: Callable[..., Any]) -> PlainHook:
    return lambda _message: call_user(hook)


_SHAPES: dict[Verb, Callable[[Callable[..., Any]], PlainHook]] = {
    Verb.PREDICT: _data_hook,
    Verb.TRANSFORM_INPUT: _data_hook,
    Verb.TRANSFORM_OUTPUT: _data_hook,
    Verb.ROUTE: _data_hook,
    Verb.AGGREGATE: _names_hook,  # it is called without meta
    Verb.HEALTH: _health_hook,
}


def _binds(hook: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
    """Whether a signature takes these arguments; one that cannot be read takes what the contract names first."""
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):
        return "meta" not in kwargs
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def find_raw_hooks(user: object) -> dict[tuple[Verb, Transport], tuple[RawHook, ...]]:
    """The hooks that take whole messages, first come first, for each verb and transport (contract section 3.4)."""
    found: dict[tuple[Verb, Transport], tuple[RawHook, ...]] = {}
    for verb, name in NAMES.items():
        for transport in Transport:
            names = _raw_names(verb, name, transport)
            found[verb, transport] = tuple(_raw_hook(user, raw, verb) for raw in names if hasattr(user, raw))
    _warn_of_deprecated(user)
    return found


def _raw_names(verb: Verb, name: str, transport: Transport) -> tuple[str, ...]:
    if verb is Verb.HEALTH:
        return (f"{name}_raw",)
    if verb is Verb.FEEDBACK:  # it is protobuf on both transports, so each of them can call either
        return (f"{name}_rest", f"{name}_grpc", f"{name}_raw")
    return (f"{name}_{transport.value}", f"{name}_raw")


def _raw_hook(user: object, name: str, verb: Verb) -> RawHook:
    hook = getattr(user, name)
    if verb is Verb.HEALTH:
        return lambda _request: call_user(hook)
    if name == "send_feedback_rest":
        from google.protobuf.json_format import MessageToJson  # not at the top: hardly any class has this hook

        return lambda request: call_user(hook, MessageToJson(request.raw))
    return lambda request: call_user(hook, request.raw)


def _warn_of_deprecated(user: object) -> None:
    endings = [transport.value for transport in Transport]
    old = [f"{name}_{end}" for name in NAMES.values() for end in endings if hasattr(user, f"{name}_{end}")]
    if old:
        logger.warning("%s has deprecated hooks: %s; write *_raw instead", type(user).__name__, ", ".join(old))


def find_class_names(user: object) -> Callable[[Any], Any] | None:
    """What gives the names of the columns, or the default names where the class says it has none.

    A method is called, the value of an attribute or a property is read anew for each answer.
    """
    static = inspect.getattr_static(user, "class_names", None)
    if static is None and not hasattr(user, "class_names"):
        return None
    is_method = callable(static) or isinstance(static, (classmethod, staticmethod))

    def read() -> Any:
        value = getattr(user, "class_names")  # noqa: B009 - the object's type is not known here
        return value() if is_method else value

    def name_columns(default: Any) -> Any:
        names = ask(call_user, read)
        return default if names is NOT_IMPLEMENTED else names

    return name_columns
