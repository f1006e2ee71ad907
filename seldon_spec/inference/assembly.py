"""Builds the dispatcher of a spec. Needs no server: no fork, no socket, no shared memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from seldon_spec.config.build_spec import with_full_paths
from seldon_spec.config.checks.distributions import package_of
from seldon_spec.config.model import Spec
from seldon_spec.config.model_files.formats import FORMATS
from seldon_spec.config.model_files.spec import ModelSpec
from seldon_spec.config.model_files.urls import is_url, show_path
from seldon_spec.config.paths import working_directory
from seldon_spec.errors import ComponentFailed, SeldonSpecError
from seldon_spec.inference.call import Call
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.component.build import build_component
from seldon_spec.inference.component.importer import (
    import_class,
    import_runtime,
    imports_flask,
    module_imports_flask,
    register_folder,
)
from seldon_spec.inference.component.progress import Progress
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.graph.build import Connect, GraphTools, build_graph
from seldon_spec.inference.graph.nodes import TraceComponent
from seldon_spec.inference.graph.values import add_component
from seldon_spec.inference.metrics_sink import MetricsSink, NullMetrics
from seldon_spec.inference.processor import Trace


def dispatcher_for(
    spec: Spec,
    metrics: MetricsSink | None = None,
    trace: Trace | None = None,
    *,
    connect: Connect | None = None,
    trace_component: TraceComponent | None = None,
    on_post: Callable[[Call], None] | None = None,
    user_class: Callable[..., Any] | None = None,
    loaded: LoadedClasses | None = None,
) -> Dispatcher:
    """Return the dispatcher of a spec, not started: nothing of the user's code is imported yet, unless it is loaded.

    One process can have several, of one spec or of different ones.

    Args:
        spec: its secrets are resolved, and its environment is applied.
        metrics: where measurements go; None: metrics of the class are validated and not kept.
        trace: None: nothing is traced.
        connect: returns the client of a component with a URL; None: the spec must not have one.
        trace_component: None: the calls of a graph's components are not traced.
        on_post: see ``Dispatcher``.
        user_class: the class of the spec, or another callable that makes the object; None: it is imported by its name.
        loaded: the components of ``loaded.spec``, which the dispatcher uses; None: it builds them.
    """
    # the working directory may change before the class is imported
    spec = with_full_paths(spec) if loaded is None else loaded.spec
    progress = Progress()
    threads = ModelThreads(spec.server.threads)
    sink = metrics or NullMetrics()

    def build(each: Spec) -> Component:
        if each.graph is not None:
            return build_graph(each, tools)
        if loaded is not None:
            return loaded.find(each)
        return _build_part(each, spec, progress, user_class)

    tools = GraphTools(sink, threads.submit, build, connect, trace_component)
    return Dispatcher(
        partial(build, spec),
        threads,
        sink,
        spec.server.batching,
        trace,
        progress=progress,
        on_post=on_post,
    )


class LoadedClasses:
    """The components of a spec that are classes and model files, built on the calling thread, before a fork.

    Args:
        spec: of one component or of a graph.
        progress: of the load.

    Attributes:
        spec: the same, with full paths.

    Raises:
        ComponentFailed: one of them cannot be built, or cannot be used after a fork.
    """

    def __init__(self, spec: Spec, progress: Progress) -> None:
        self.spec = with_full_paths(spec)
        self._progress = progress
        self._components: dict[int, Component] = {}
        self._load(self.spec)

    def find(self, spec: Spec) -> Component:
        """Return the component of a part of ``self.spec``."""
        return self._components[id(spec)]

    def release(self) -> None:
        """Free the objects of the classes; the garbage collector does not, if it was frozen before the fork."""
        for component in self._components.values():
            vars(component).clear()
        self._components.clear()

    def _load(self, spec: Spec) -> None:
        if spec.graph is None:
            if spec.model is not None and spec.model.options.threads > 1:  # runtimes predict when they load
                raise ComponentFailed(
                    "server.preload requires model.options.threads: 1, because a library waits for its other threads, "
                    "which a fork does not copy"
                )
            self._components[id(spec)] = _build_part(spec, self.spec, self._progress)
            return
        for name, each in spec.components.items():
            if each.spec is not None and each.url is None:
                try:
                    self._load(each.spec)
                except SeldonSpecError as error:
                    raise add_component(error, name) from error.__cause__


def _build_part(spec: Spec, root: Spec, progress: Progress, user_class: Callable[..., Any] | None = None) -> Adapter:
    """Build the class or the model file of a spec, which is a component of ``root`` or ``root`` itself."""
    if spec is root:
        return _build_class(spec, _name_source(spec), progress, user_class)
    with working_directory(spec.folder):  # a component finds its relative files there
        return _build_class(spec, f"{spec.unit.id} ({_name_source(spec)})", progress)


def _build_class(spec: Spec, name: str, progress: Progress, user_class: Callable[..., Any] | None = None) -> Adapter:
    """Import, build and load the class of a spec; ``name`` is that of the component, for the log."""
    if spec.model is not None:
        return _build_model(spec, spec.model, name, progress)
    assert spec.class_name is not None
    had_flask = "flask" in sys.modules
    if user_class is None:
        progress.begin(f"importing {name}")
        user_class = import_class(spec.class_name, spec.folder)
        uses_flask = partial(imports_flask, spec.folder)
    else:
        uses_flask = partial(module_imports_flask, user_class.__module__)
    progress.begin(f"loading {name}")
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
    component.uses_flask = ("flask" in sys.modules and not had_flask) or uses_flask()
    if component.uses_flask:  # a batch of requests would have to share one flask.request
        component.batchable = frozenset()
    return component


def _name_source(spec: Spec) -> str:
    """Return the class or the model file of a spec, for the log."""
    return str(spec.class_name) if spec.model is None else show_path(spec.model.path)


def _fetch(spec: Spec, model: ModelSpec, name: str, progress: Progress) -> Path:
    """Return the path of a model file that may have to be downloaded, after its checks."""
    from seldon_spec.model_store.fetch import fetch_model  # HTTP and TLS, which few models need
    from seldon_spec.model_store.sources import ModelUnavailable

    progress.begin(f"{'downloading' if is_url(model.path) else 'checking'} {name}")
    try:
        return fetch_model(spec.folder, model, spec.loaded_at)
    except ModelUnavailable as error:
        raise ComponentFailed(str(error)) from None


def _build_model(spec: Spec, model: ModelSpec, name: str, progress: Progress) -> Adapter:
    """Load the model file of a spec with the runtime of its format."""
    row = FORMATS[str(model.format)]
    progress.begin(f"importing the runtime of {row.name}")
    runtime = import_runtime(row.runtime)
    path = spec.folder / model.path
    if is_url(model.path) or model.sha256 is not None:
        path = _fetch(spec, model, name, progress)
    progress.begin(f"loading {name}")
    register_folder(spec.folder)  # a pickle may need its modules
    try:
        component = build_component(
            partial(runtime, path, model.method, model.options),
            {},
            spec.unit,
            spec.service_type,
            spec.inputs,
            spec.outputs,
            spec.platform,
            spec.server.validate_requests,
            is_runtime=True,
        )
    except ComponentFailed as failure:
        cause = failure.__cause__
        if isinstance(cause, ModuleNotFoundError) and cause.name in (row.module, *row.needs):
            package = package_of(cause.name)
            raise ComponentFailed(f"model: the format {row.name} needs {package}: pip install {package}") from None
        if isinstance(cause, SeldonSpecError):  # it says what is wrong with the file or the spec
            raise ComponentFailed(str(cause)) from None
        raise
    if not row.is_rowwise and not _has_rows(component):
        component.batchable = frozenset()
    return component


def _has_rows(component: Adapter) -> bool:
    """Return whether all inputs and outputs of a component have any number of rows."""
    tensors = (*component.inputs, *component.outputs)
    return bool(component.inputs) and all(tensor.shape[:1] == (-1,) for tensor in tensors)
