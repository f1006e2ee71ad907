"""Components of a graph that are servers of their own: clients over REST and gRPC."""

from seldon_spec.remote.component import RemoteComponent, connect

__all__ = ["RemoteComponent", "connect"]
