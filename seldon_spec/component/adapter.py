"""The user's object as a Component: which hooks it has and how each is called is found once, when it is built.

Source: contract sections 3.3 and 3.4, without its bugs: a TypeError of the user's runs nothing twice.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from seldon_spec.component.base import Recorder
from seldon_spec.component.failure import is_named, user_code
from seldon_spec.component.threads import run_to_completion
from seldon_spec.errors import ComponentFailed
from seldon_spec.payload.message import Message, Result, Verb
from seldon_spec.spec.model import UnitSpec

logger = logging.getLogger(__name__)

_NOT_IMPLEMENTED = "SeldonNotImplementedError"
_HEALTHY = "healthy"
_ASSUMED_HEALTHY = "not implemented - assuming healthy"

Hook = Callable[[Message], Any]


def build_component(user_class: type, parameters: Mapping[str, Any], unit: UnitSpec) -> Adapter:
    """Build the user's object and load it.

    Args:
        user_class: the class.
        parameters: keyword arguments of its ``__init__``.
        unit: what the operator says of this place.

    Raises:
        ComponentFailed: the class raised.
    """
    with user_code():
        user = user_class(**parameters)
    _load(user)
    return Adapter(user, unit)


def _load(user: object) -> None:
    """Call ``load()`` where there is one; of what it raises, only NotImplementedError means that there is none."""
    load = getattr(user, "load", None)
    if load is None:
        return
    try:
        _call(load)
    except ComponentFailed as failure:
        if not isinstance(failure.__cause__, NotImplementedError) and not _says_not_implemented(failure):
            raise


def _call(hook: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the user's code, and wait for it if it is a coroutine.

    Raises:
        ComponentFailed: it raised.
    """
    with user_code():
        value = hook(*args, **kwargs)
        return run_to_completion(value) if inspect.iscoroutine(value) else value


def _says_not_implemented(failure: ComponentFailed) -> bool:
    return is_named(failure.__cause__, _NOT_IMPLEMENTED)


def _ask(hook: Callable[[], Any] | None, otherwise: Any) -> Any:
    """What a hook without arguments says; ``otherwise`` if it is not there or says it is not implemented."""
    if hook is None:
        return otherwise
    try:
        return _call(hook)
    except ComponentFailed as failure:
        if not _says_not_implemented(failure):
            raise
        return otherwise


class Adapter:
    """One object of the user's class."""

    def __init__(self, user: object, unit: UnitSpec) -> None:
        self._user = user
        self._request_path = {unit.id: unit.image or "NOT_IMPLEMENTED:NOT_IMPLEMENTED"} if unit.id else {}
        self._predict = _find_data_hook(user, "predict")
        self._tags = _find_plain_hook(user, "tags")
        self._metrics = _find_plain_hook(user, "metrics")
        self._health = _find_plain_hook(user, "health_status")
        self._class_names = _find_class_names(user)
        self._answers: dict[Verb, Hook] = {Verb.PREDICT: self._answer_predict, Verb.HEALTH: self._answer_health}
        self._has_told_dimensions = False
        if self._predict is None:
            logger.warning("%s has no predict: every prediction is answered by an empty array", type(user).__name__)

    def call(self, verb: Verb, request: Message, record: Recorder) -> Result:
        """Answer one request; see ``Component.call``.

        The order is the contract's (section 3.4): the method, the metrics it returned, ``metrics()``, then
        ``class_names`` and ``tags()``; the codec asks for ``class_names``, for it alone knows the dimensions.
        """
        payload, tags, metrics = _unwrap(self._answers[verb](request))
        recorded = record(metrics) if metrics is not None else []
        own = record(_ask(self._metrics, [])) if self._metrics is not None else []
        return Result(
            payload=payload,
            class_names=self._class_names,
            tags={**(_ask(self._tags, {}) or {}), **(tags or {})},
            metrics=[*own, *recorded],
            request_path=self._request_path,
        )

    def _answer_predict(self, request: Message) -> Any:
        if self._predict is None:
            return []
        try:
            payload = self._predict(request)
        except ComponentFailed as failure:
            if not _says_not_implemented(failure):
                raise
            return []
        self._tell_dimensions(payload)
        return payload

    def _answer_health(self, _request: Message) -> Any:
        return _ask(self._health, _HEALTHY if self._health is None else _ASSUMED_HEALTHY)

    def _tell_dimensions(self, payload: object) -> None:
        if self._has_told_dimensions or not _is_flat(payload):
            return
        self._has_told_dimensions = True
        logger.warning(
            "%s.predict returned an array with fewer than two dimensions: it is answered as it is, without names of "
            "columns; return one row for each row of X if clients expect a table (told once)",
            type(self._user).__name__,
        )


def _is_flat(payload: object) -> bool:
    """Whether a result is an array or a list of fewer than two dimensions."""
    if isinstance(payload, list):
        return not (payload and (isinstance(payload[0], (list, tuple)) or getattr(payload[0], "ndim", 0) > 0))
    dimensions = getattr(payload, "ndim", None)
    return isinstance(dimensions, int) and dimensions < 2 and hasattr(payload, "shape")


def _unwrap(payload: Any) -> tuple[Any, Mapping[str, Any] | None, Any]:
    """The data, the tags and the metrics of a result; one of seldon_core's SeldonResponse carries all three."""
    if is_named(payload, "SeldonResponse"):
        return payload.data, getattr(payload, "tags", None), getattr(payload, "metrics", None)
    return payload, None, None


def _find_plain_hook(user: object, name: str) -> Callable[[], Any] | None:
    with user_code():
        hook: Callable[[], Any] | None = getattr(user, name, None)
    return hook


def _find_data_hook(user: object, name: str) -> Hook | None:
    """The hook that takes ``X`` and names, called in the fullest way that its signature allows."""
    if not hasattr(user, name):
        return None
    hook = getattr(user, name)
    if _binds(hook, None, None, meta=None):
        return lambda request: _call(hook, request.payload, request.names, meta=request.meta)
    if _binds(hook, None, None) or not _binds(hook, None):
        return lambda request: _call(hook, request.payload, request.names)
    return lambda request: _call(hook, request.payload)


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


def _find_class_names(user: object) -> Callable[[Any], Any] | None:
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

    return lambda default: _ask(read, default)
