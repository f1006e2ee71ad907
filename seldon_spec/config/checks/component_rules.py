"""Rules of the components of a graph: keys of their entries, and variables that they share in one process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.model import ServiceType
from seldon_spec.errors import Diagnostic, Origin, Severity

Variables = dict[str, tuple[Any, Origin]]
"""Variables of ``environment`` with their values and origins."""

_FEEDBACK = frozenset({"send_feedback", "send_feedback_raw", "send_feedback_rest", "send_feedback_grpc"})
_OF_SERVER = ("flask", "ports", "image")
"""The sections that have no effect on a component inside the process of its graph."""


def may_take_feedback(found: object, service_type: ServiceType) -> bool:
    """Return whether a class takes feedback; of a class that is not known completely, whether it may."""
    if isinstance(found, ClassSource) and (found.is_whole or found.hooks & _FEEDBACK):
        return bool(found.hooks & _FEEDBACK)
    return service_type in (ServiceType.MODEL, ServiceType.ROUTER)


def check_entry(context: RuleContext, name: str, entry: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Report keys without effect in an entry, and a token that is sent without encryption.

    Args:
        context: of the graph.
        name: of the component.
        entry: its values in the file, variables and flags of the graph.
    """
    url = entry.get("url")
    if url is None:
        deployment = entry.get("deployment") or {}
        is_on_ray = bool(deployment.get("replicas") or deployment.get("resources"))  # in a process of its own
        for key in ("token", "ca") if is_on_ray else ("timeout_seconds", "token", "ca"):
            if entry.get(key) is not None:
                yield _without_effect(context, name, (key,), "the component has no url", Severity.WARNING)
        reason = "the component is built in the process of its graph"
        is_apart = context.values.get(("deployment", "apart")) is True
        sections = [] if is_apart else [(key,) for key in _OF_SERVER if key in entry]
        server = [("server", key) for key in entry.get("server") or {} if key != "validate_requests"]
        for path in [*sections, *([] if is_apart or is_on_ray else server)]:
            yield _without_effect(context, name, path, reason, Severity.NOTE)
    elif entry.get("token") is not None and url.startswith(("http://", "grpc://")):
        yield Diagnostic(
            "graph-insecure",
            f"the token of {name} is sent without encryption",
            context.origin("components", name, "url"),
            Severity.WARNING,
            ("components", name),
            found=url,
            help="use https:// or grpcs://",
        )


def _without_effect(
    context: RuleContext, name: str, path: tuple[str, ...], reason: str, severity: Severity
) -> Diagnostic:
    at = ("components", name, *path)
    message = f"{'.'.join(at)} has no effect: {reason}"
    return Diagnostic("key-without-effect", message, context.key_origin(*at), severity, at, help="remove it")


def join_environments(joined: Variables, others: Iterable[Variables]) -> Iterator[Diagnostic]:
    """Add the variables of components to those of their graph; report one that has two values in the process."""
    for variables in others:
        for name, (value, origin) in variables.items():
            first, first_origin = joined.setdefault(name, (value, origin))
            if first != value:
                yield Diagnostic(
                    "graph-environment-clash",
                    f"{name} has two values in one process",
                    origin,
                    path=("environment", name),
                    related=(("first given", first_origin.position),) if first_origin.position else (),
                    help="give it one value, or run a component elsewhere and set its url",
                )
