"""The route table of the server's own pages; their errors have the format of Seldon's protocol."""

from __future__ import annotations

from dataclasses import replace

from seldon_spec.config.model import Spec
from seldon_spec.protocols.route import RestProtocol, Route
from seldon_spec.server.site.page import make_page


def make_site(spec: Spec, protocols: tuple[RestProtocol, ...]) -> RestProtocol:
    """Return the pages of a spec, as a protocol without operations.

    Args:
        protocols: the first one defines the format of errors.
    """
    routes: tuple[Route, ...] = make_page(spec) if spec.server.page else ()
    return replace(protocols[0], name="pages", routes=routes)
