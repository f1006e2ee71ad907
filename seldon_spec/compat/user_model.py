"""What classes import from ``seldon_core.user_model``: a base class, and the words for a result and for no hook."""

from __future__ import annotations

from typing import Any, NoReturn

from seldon_spec.compat import calls
from seldon_spec.compat.calls import *  # noqa: F403 - all of them are names of this module there
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


def _refuse(name: str) -> NoReturn:
    raise SeldonNotImplementedError(f"{name} is not implemented")


class SeldonComponent:
    """A base class whose hooks all say that they are not implemented, but for ``load``, which does nothing.

    Source: contract section 3.5.
    """

    def __init__(self, **kwargs: Any) -> None:
        pass

    def load(self) -> None:
        """Nothing to load."""

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: ARG002, N803
        """Not implemented: an empty array is answered."""
        _refuse("predict")

    def transform_input(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: ARG002, N803
        """Not implemented: the input is answered."""
        _refuse("transform_input")

    def transform_output(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: ARG002, N803
        """Not implemented: the input is answered."""
        _refuse("transform_output")

    def route(self, features: Any, feature_names: Any, meta: Any = None) -> Any:  # noqa: ARG002
        """Not implemented: an error is answered."""
        _refuse("route")

    def aggregate(self, features_list: Any, feature_names_list: Any) -> Any:  # noqa: ARG002
        """Not implemented: an error is answered."""
        _refuse("aggregate")

    def send_feedback(
        self,
        features: Any,  # noqa: ARG002
        feature_names: Any,  # noqa: ARG002
        reward: float,  # noqa: ARG002
        truth: Any,  # noqa: ARG002
        routing: Any = None,  # noqa: ARG002
    ) -> Any:
        """Not implemented: an empty array is answered."""
        _refuse("send_feedback")

    def predict_raw(self, msg: Any) -> Any:  # noqa: ARG002
        """Not implemented: ``predict`` is asked."""
        _refuse("predict_raw")

    def transform_input_raw(self, msg: Any) -> Any:  # noqa: ARG002
        """Not implemented: ``transform_input`` is asked."""
        _refuse("transform_input_raw")

    def transform_output_raw(self, msg: Any) -> Any:  # noqa: ARG002
        """Not implemented: ``transform_output`` is asked."""
        _refuse("transform_output_raw")

    def route_raw(self, msg: Any) -> Any:  # noqa: ARG002
        """Not implemented: ``route`` is asked."""
        _refuse("route_raw")

    def aggregate_raw(self, msgs: Any) -> Any:  # noqa: ARG002
        """Not implemented: ``aggregate`` is asked."""
        _refuse("aggregate_raw")

    def send_feedback_raw(self, feedback: Any) -> Any:  # noqa: ARG002
        """Not implemented: ``send_feedback`` is asked."""
        _refuse("send_feedback_raw")

    def health_status(self) -> Any:
        """Not implemented: health is assumed."""
        _refuse("health_status")

    def health_status_raw(self) -> Any:
        """Not implemented: ``health_status`` is asked."""
        _refuse("health_status_raw")

    def class_names(self) -> Any:
        """Not implemented: the columns are t:0, t:1 and so on."""
        _refuse("class_names")

    def feature_names(self) -> Any:
        """Not implemented; no server asks for it."""
        _refuse("feature_names")

    def tags(self) -> Any:
        """Not implemented: there are none."""
        _refuse("tags")

    def metrics(self) -> Any:
        """Not implemented: there are none."""
        _refuse("metrics")

    def init_metadata(self) -> Any:
        """Not implemented: the model says nothing of itself."""
        _refuse("init_metadata")

    def metadata(self) -> Any:
        """Not implemented; no server asks for it."""
        _refuse("metadata")
