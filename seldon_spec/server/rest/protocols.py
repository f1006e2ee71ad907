"""The REST protocols that a server serves."""

from __future__ import annotations

from seldon_spec.config.model import Spec
from seldon_spec.protocols.route import RestProtocol
from seldon_spec.protocols.seldon_v1.routes import seldon_v1


def rest_protocols(spec: Spec) -> tuple[RestProtocol, ...]:
    """Return the protocols of a spec; the first one defines the format of errors outside of any protocol's paths."""
    return (seldon_v1(is_passthrough=spec.unit.is_passthrough),)
