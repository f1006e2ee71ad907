"""Prepackaged servers of Seldon: units of a graph with ``implementation`` and ``modelUri`` instead of an image."""

from __future__ import annotations

from pathlib import Path

from seldon_spec.config.model_files.formats import FORMATS
from seldon_spec.migrate.candidates import Gathered
from seldon_spec.migrate.model_files import FROM_HUB, OTHER_SERVERS, SELDON_SERVERS, add_model, add_option
from seldon_spec.migrate.units import Unit

_V2 = frozenset({"kfserving", "v2"})
_METHOD = "method"


def is_served(unit: Unit) -> bool:
    """Return whether a unit is a prepackaged server whose models have a runtime here."""
    return unit.graph.text("implementation") in SELDON_SERVERS and unit.graph.get("modelUri") is not None


def explain(unit: Unit) -> str:
    """Return why a prepackaged server is not migrated."""
    implementation = unit.graph.text("implementation")[:200]
    if implementation == "HUGGINGFACE_SERVER":
        return f"{implementation} without modelUri: {FROM_HUB}"
    if implementation in SELDON_SERVERS:
        return f"{implementation} without modelUri has no model file"
    known = OTHER_SERVERS.get(implementation)
    if known is None:
        return f"{implementation} is a server that the configuration of the cluster defines, without a class of yours"
    return f"{implementation} is {known}"


def read_prepackaged(folder: Path, unit: Unit, gathered: Gathered) -> None:
    """Add the model file of a unit that is served, and report the parameters that are not migrated."""
    implementation = unit.graph.text("implementation")
    server = SELDON_SERVERS[implementation]
    uri = unit.graph.get("modelUri")
    assert uri is not None
    protocol = unit.resource.tree.text("spec", "protocol") or unit.predictor_tree.text("protocol")
    method = "predict" if protocol in _V2 else None  # MLServer loads the file then
    parameters = unit.graph.get("parameters")
    for parameter in parameters.items() if parameters else ():
        name, value = parameter.text("name"), parameter.text("value")
        if name == _METHOD and value in FORMATS[server.format].methods:
            method = value
        elif name == _METHOD:
            allowed = ", ".join(FORMATS[server.format].methods)
            gathered.leave_out(parameter.position(), "parameter method", f"model.method is one of {allowed}")
        elif not add_option(server, name, value, parameter.position(), gathered):
            gathered.leave_out(parameter.position(), "a parameter", f"{implementation} alone reads it")
    add_model(folder, server, uri.text(), uri.position(), f"modelUri of {implementation}", gathered, method)
    secret = unit.graph.get("envSecretRefName")
    if secret is not None and secret.text():
        why = (
            "it has the credentials of the storage: set the variables of the storage's library where the server starts"
        )
        gathered.leave_out(secret.position(), "graph.envSecretRefName", why)
