"""Builds the dispatcher of a spec. Needs no server: no fork, no socket, no shared memory."""

from __future__ import annotations

import sys
from dataclasses import replace

from seldon_spec.config.model import Spec
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.component.build import build_component
from seldon_spec.inference.component.importer import import_class, imports_flask
from seldon_spec.inference.component.progress import Progress
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.metrics_sink import MetricsSink, NullMetrics
from seldon_spec.inference.processor import Trace, TraceComponent


def dispatcher_for(
    spec: Spec,
    metrics: MetricsSink | None = None,
    trace: Trace | None = None,
    *,
    trace_component: TraceComponent | None = None,  # noqa: ARG001
) -> Dispatcher:
    """Return the dispatcher of a spec, not started: nothing of the user's code is imported yet.

    One process can have several, of one spec or of different ones.

    Args:
        spec: its secrets are resolved, and its environment is applied.
        metrics: where measurements go; None: metrics of the class are validated and not kept.
        trace: None: nothing is traced.
        trace_component: traces the components of a graph; None: they are not traced.
    """
    spec = replace(spec, folder=spec.folder.resolve())  # the working directory may change before the class is imported
    progress = Progress()

    def make_component() -> Component:
        had_flask = "flask" in sys.modules
        progress.begin(f"importing {spec.class_name}")
        user_class = import_class(spec.class_name, spec.folder)
        progress.begin(f"loading {spec.class_name}")
        component = build_component(
            user_class,
            spec.parameters,
            spec.unit,
            spec.service_type,
            spec.inputs,
            spec.outputs,
            spec.platform,
            spec.server.validate_requests,
        )
        component.uses_flask = ("flask" in sys.modules and not had_flask) or imports_flask(spec.folder)
        if component.uses_flask:  # a batch of requests would have to share one flask.request
            component.batchable = frozenset()
        return component

    return Dispatcher(
        make_component,
        ModelThreads(spec.server.threads),
        metrics or NullMetrics(),
        spec.server.batching,
        trace,
        progress=progress,
    )
