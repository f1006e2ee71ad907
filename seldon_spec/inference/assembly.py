"""A dispatcher for a spec: which parts, put together how."""

from __future__ import annotations

import sys
from dataclasses import replace

from seldon_spec.config.model import Spec
from seldon_spec.inference.component.adapter import build_component
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.component.importer import FolderModules, import_class, imports_flask
from seldon_spec.inference.component.progress import Progress
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.processor import Trace
from seldon_spec.observability.metrics import Metrics, Segments


def dispatcher_for(
    spec: Spec, slots: Segments | None = None, index: int = 0, trace: Trace | None = None, *, is_alone: bool = True
) -> Dispatcher:
    """The dispatcher of a spec, not started: nothing of the user's is imported yet.

    Args:
        spec: its secrets are resolved, and its environment is applied.
        slots: the shared memory of the metrics; by default its own, for one process.
        index: this worker's slot.
        trace: None: nothing is traced.
        is_alone: whether no other class is served in this process.
    """
    spec = replace(spec, folder=spec.folder.resolve())  # the working directory may change before the class is imported
    progress = Progress()

    def make_component() -> Component:
        had_flask = "flask" in sys.modules
        progress.begin(f"importing {spec.class_name}")
        user_class = import_class(spec.class_name, spec.folder)
        progress.begin(f"loading {spec.class_name}")
        component = build_component(user_class, spec.parameters, spec.unit, spec.service_type)
        component.uses_flask = ("flask" in sys.modules and not had_flask) or imports_flask(spec.folder)
        if component.uses_flask:  # several requests would have to share one flask.request
            component.batchable = frozenset()
        return component

    return Dispatcher(
        make_component,
        ModelThreads(spec.server.threads, None if is_alone else FolderModules.of(spec.folder).activate),
        Metrics(spec.unit, slots, index),
        spec.server.batching,
        trace,
        progress=progress,
    )
