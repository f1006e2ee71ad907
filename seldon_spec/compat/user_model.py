"""Replacement for ``seldon_core.user_model``: the base class, the response and the errors."""

from __future__ import annotations

from typing import Any, NoReturn

from seldon_spec.compat import calls
from seldon_spec.compat.calls import *  # noqa: F403 - the original module has them too
from seldon_spec.inference.component.contract import (
    SeldonMicroserviceException,
    SeldonNotImplementedError,
    SeldonResponse,
)

__all__ = [
    "SeldonComponent",
    "SeldonMicroserviceException",
    "SeldonNotImplementedError",
    "SeldonResponse",
    *calls.__all__,
]


def _raise_not_implemented(name: str) -> NoReturn:
    raise SeldonNotImplementedError(f"{name} is not implemented")


class SeldonComponent:
    """A base class whose hooks raise SeldonNotImplementedError, except for ``load``, which does nothing.

    Source: contract section 3.5.
    """

    def __init__(self, **kwargs: Any) -> None:
        pass

    def load(self) -> None:
        """Do nothing."""

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: ARG002, N803
        _raise_not_implemented("predict")

    def transform_input(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: ARG002, N803
        _raise_not_implemented("transform_input")

    def transform_output(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: ARG002, N803
        _raise_not_implemented("transform_output")

    def route(self, features: Any, feature_names: Any, meta: Any = None) -> Any:  # noqa: ARG002
        _raise_not_implemented("route")

    def aggregate(self, features_list: Any, feature_names_list: Any) -> Any:  # noqa: ARG002
        _raise_not_implemented("aggregate")

    def send_feedback(
        self,
        features: Any,  # noqa: ARG002
        feature_names: Any,  # noqa: ARG002
        reward: float,  # noqa: ARG002
        truth: Any,  # noqa: ARG002
        routing: Any = None,  # noqa: ARG002
    ) -> Any:
        _raise_not_implemented("send_feedback")

    def predict_raw(self, msg: Any) -> Any:  # noqa: ARG002
        _raise_not_implemented("predict_raw")

    def transform_input_raw(self, msg: Any) -> Any:  # noqa: ARG002
        _raise_not_implemented("transform_input_raw")

    def transform_output_raw(self, msg: Any) -> Any:  # noqa: ARG002
        _raise_not_implemented("transform_output_raw")

    def route_raw(self, msg: Any) -> Any:  # noqa: ARG002
        _raise_not_implemented("route_raw")

    def aggregate_raw(self, msgs: Any) -> Any:  # noqa: ARG002
        _raise_not_implemented("aggregate_raw")

    def send_feedback_raw(self, feedback: Any) -> Any:  # noqa: ARG002
        _raise_not_implemented("send_feedback_raw")

    def health_status(self) -> Any:
        _raise_not_implemented("health_status")

    def health_status_raw(self) -> Any:
        _raise_not_implemented("health_status_raw")

    def class_names(self) -> Any:
        _raise_not_implemented("class_names")

    def feature_names(self) -> Any:
        _raise_not_implemented("feature_names")

    def tags(self) -> Any:
        _raise_not_implemented("tags")

    def metrics(self) -> Any:
        _raise_not_implemented("metrics")

    def init_metadata(self) -> Any:
        _raise_not_implemented("init_metadata")

    def metadata(self) -> Any:
        _raise_not_implemented("metadata")
