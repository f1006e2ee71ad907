"""The REST protocols that a server serves."""

from __future__ import annotations

from seldon_spec.config.model import Spec
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.served_spec import find_served_spec
from seldon_spec.protocols.open_inference_v2.routes import open_inference_v2
from seldon_spec.protocols.route import RestProtocol
from seldon_spec.protocols.seldon_v1.routes import seldon_v1
from seldon_spec.server.site.routes import make_site


def rest_protocols(spec: Spec, dispatcher: Dispatcher | None = None) -> tuple[RestProtocol, ...]:
    """Return the protocols of a spec; and the server's own pages; the first one defines the format of errors.

    Args:
        spec: of the model.
        dispatcher: of the component; None: only the routes are of interest.
    """
    find_spec = None if dispatcher is None else find_served_spec(spec, dispatcher)
    protocols = (seldon_v1(spec), open_inference_v2(spec, find_spec))
    return (*protocols, make_site(spec, protocols, find_spec))
