"""Run a spec on Ray: Ray Serve's applications, whose replicas each run the whole component or graph, and Ray Data.

The only package that imports ray, which is an extra: ``pip install 'seldon-spec[ray]'``. Ray Serve is imported with the
first use of ``app`` or ``add_services``: processes that score files do not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seldon_spec.ray.application import app
    from seldon_spec.ray.grpc_services import add_services

__all__ = ["add_services", "app"]


def __getattr__(name: str) -> Any:
    if name == "app":
        from seldon_spec.ray.application import app

        return app
    if name == "add_services":
        from seldon_spec.ray.grpc_services import add_services

        return add_services
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
