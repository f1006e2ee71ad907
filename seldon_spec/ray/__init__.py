"""Serve a spec on Ray Serve: an application whose replicas each run the whole component or graph.

The only package that imports ray, which is an extra: ``pip install 'seldon-spec[ray]'``.
"""

from __future__ import annotations

from seldon_spec.ray.application import app
from seldon_spec.ray.grpc_services import add_services

__all__ = ["add_services", "app"]
