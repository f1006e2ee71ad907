"""Replacement for ``seldon_core.flask_utils``."""

from seldon_spec.inference.component.contract import SeldonMicroserviceException

__all__ = ["SeldonMicroserviceException"]
