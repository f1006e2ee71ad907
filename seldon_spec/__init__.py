"""One seldon.yaml beside a Python class: served, packaged and deployed as a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seldon_spec.app import load, make_app
    from seldon_spec.background import RunningServer, serve
    from seldon_spec.calls.async_client import AsyncClient
    from seldon_spec.calls.client import Client
    from seldon_spec.calls.errors import CallFailed, CallTimeout, NoConnection
    from seldon_spec.calls.result import Result
    from seldon_spec.config.model import Spec
    from seldon_spec.errors import SpecError
    from seldon_spec.inference.component.contract import (
        SeldonMicroserviceException,
        SeldonNotImplementedError,
        SeldonResponse,
    )
    from seldon_spec.testing import check_contract

__all__ = [
    "AsyncClient",
    "CallFailed",
    "CallTimeout",
    "Client",
    "NoConnection",
    "Result",
    "RunningServer",
    "SeldonMicroserviceException",
    "SeldonNotImplementedError",
    "SeldonResponse",
    "Spec",
    "SpecError",
    "check_contract",
    "load",
    "make_app",
    "serve",
]
__version__ = "0.1.0"

# Each name is imported when it is asked for: a command that only reads a file pays for no web server.
_HOMES = {
    "AsyncClient": "seldon_spec.calls.async_client",
    "CallFailed": "seldon_spec.calls.errors",
    "CallTimeout": "seldon_spec.calls.errors",
    "Client": "seldon_spec.calls.client",
    "NoConnection": "seldon_spec.calls.errors",
    "Result": "seldon_spec.calls.result",
    "RunningServer": "seldon_spec.background",
    "SeldonMicroserviceException": "seldon_spec.inference.component.contract",
    "SeldonNotImplementedError": "seldon_spec.inference.component.contract",
    "SeldonResponse": "seldon_spec.inference.component.contract",
    "Spec": "seldon_spec.config.model",
    "SpecError": "seldon_spec.errors",
    "check_contract": "seldon_spec.testing",
    "load": "seldon_spec.app",
    "make_app": "seldon_spec.app",
    "serve": "seldon_spec.background",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
