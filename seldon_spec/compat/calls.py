"""The functions ``client_*`` of the original, with which a ``predict_raw`` calls the class's plain methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seldon_spec.compat.metrics import validate_metrics
from seldon_spec.errors import ComponentFailed, short_repr
from seldon_spec.inference.arrays import default_names
from seldon_spec.inference.component.contract import (
    SeldonMicroserviceException,
    SeldonNotImplementedError,
    SeldonResponse,
)
from seldon_spec.inference.component.hooks import find_class_names
from seldon_spec.inference.component.signature import bind, call_with
from seldon_spec.inference.message import FeedbackMessage, Message, PayloadType

__all__ = [
    "client_aggregate",
    "client_class_names",
    "client_custom_metrics",
    "client_custom_tags",
    "client_feature_names",
    "client_health_status",
    "client_predict",
    "client_route",
    "client_send_feedback",
    "client_transform_input",
    "client_transform_output",
]


def client_predict(user_model: Any, features: Any, feature_names: Any, **kwargs: Any) -> SeldonResponse:
    """Return what ``predict`` returns; an empty list if it is not implemented.

    Args:
        user_model: the object.
        features: X.
        feature_names: its columns.
        kwargs: ``meta``, for a method that takes it.
    """
    return _call_optional(user_model, "predict", features, feature_names, [], kwargs)


def client_transform_input(user_model: Any, features: Any, feature_names: Any, **kwargs: Any) -> SeldonResponse:
    """Return what ``transform_input`` returns; the features if it is not implemented."""
    return _call_optional(user_model, "transform_input", features, feature_names, features, kwargs)


def client_transform_output(user_model: Any, features: Any, feature_names: Any, **kwargs: Any) -> SeldonResponse:
    """Return what ``transform_output`` returns; the features if it is not implemented."""
    return _call_optional(user_model, "transform_output", features, feature_names, features, kwargs)


def client_route(user_model: Any, features: Any, feature_names: Any, **kwargs: Any) -> SeldonResponse:
    """Return what ``route`` returns.

    Raises:
        SeldonNotImplementedError: there is none.
    """
    if not hasattr(user_model, "route"):
        raise SeldonNotImplementedError("Route not defined")
    return SeldonResponse.create(_call(user_model, "route", features, feature_names, kwargs))


def client_aggregate(user_model: Any, features_list: Any, feature_names_list: Any) -> SeldonResponse:
    """Return what ``aggregate`` returns.

    Raises:
        SeldonNotImplementedError: there is none.
    """
    if not hasattr(user_model, "aggregate"):
        raise SeldonNotImplementedError("Aggregate not defined")
    return SeldonResponse.create(_call(user_model, "aggregate", features_list, feature_names_list, {}))


def _call_optional(
    user: Any, name: str, features: Any, names: Any, default: Any, more: Mapping[str, Any]
) -> SeldonResponse:
    try:
        given = _call(user, name, features, names, more) if hasattr(user, name) else default
    except SeldonNotImplementedError:
        given = default
    return SeldonResponse.create(given)


def _call(user: Any, name: str, features: Any, names: Any, more: Mapping[str, Any]) -> Any:
    binding = bind(user, name, ("payload", "names"), "meta", forwards=False, fills="meta" in more)
    return call_with(binding, getattr(user, name))(Message(PayloadType.NOTHING, features, names, more.get("meta")))


def client_send_feedback(
    user_model: Any, features: Any, feature_names: Any, reward: float, truth: Any, routing: int | None
) -> SeldonResponse:
    """Return what ``send_feedback`` returns; None if it is not implemented."""
    if not hasattr(user_model, "send_feedback"):
        return SeldonResponse(None)
    values = ("payload", "names", "reward", "truth")
    binding = bind(user_model, "send_feedback", values, "routing", forwards=True)
    message = FeedbackMessage(PayloadType.NOTHING, features, feature_names, reward=reward, truth=truth)
    call = call_with(
        binding, user_model.send_feedback, lambda m, value: routing if value == "routing" else getattr(m, value)
    )
    try:
        return SeldonResponse.create(call(message))
    except SeldonNotImplementedError:
        return SeldonResponse(None)


def client_health_status(user_model: Any) -> Any:
    """Return what ``health_status`` returns.

    Raises:
        SeldonNotImplementedError: there is none.
    """
    if not hasattr(user_model, "health_status"):
        raise SeldonNotImplementedError("health_status not defined")
    return user_model.health_status()


def client_custom_tags(user_model: Any) -> dict[str, Any]:
    """Return what ``tags`` returns; none if it is not implemented."""
    return _get(user_model, "tags", {}) or {}


def client_feature_names(user_model: Any, original: Iterable[str]) -> Iterable[str]:
    """Return what ``feature_names`` returns; the original ones if it is not implemented."""
    names: Iterable[str] = _get(user_model, "feature_names", original)
    return names


def _get(user: Any, name: str, default: Any) -> Any:
    if not hasattr(user, name):
        return default
    try:
        return getattr(user, name)()
    except SeldonNotImplementedError:
        return default


def client_class_names(user_model: Any, predictions: Any) -> Any:
    """Return the names of the columns of an array; none if it has fewer than two dimensions."""
    if len(predictions.shape) < 2:
        return []
    names = list(default_names(predictions.shape[1]))
    find = find_class_names(user_model)
    try:
        return names if find is None else find(names)
    except ComponentFailed as failure:
        raise (failure.__cause__ or failure) from None


def client_custom_metrics(
    user_model: Any,
    seldon_metrics: Any = None,  # noqa: ARG001 - the original's; the server records the response's metrics
    method: str = "",  # noqa: ARG001 - as above
    runtime_metrics: Sequence[Mapping[str, Any]] = (),  # noqa: ARG001 - as above
) -> list[Any]:
    """Return what ``metrics`` returns; none if it is not implemented. The server records those of a raw response.

    Raises:
        SeldonMicroserviceException: they are no metrics.
    """
    metrics = _get(user_model, "metrics", [])
    if not validate_metrics(metrics):
        text = f"Bad metric created during request: {short_repr(metrics, 500)}"
        raise SeldonMicroserviceException(text, 500, reason="MICROSERVICE_BAD_METRIC")
    return list(metrics)
