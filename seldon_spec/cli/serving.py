"""Serving, for both command lines: load the spec, serve it, and reload it while it is served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from seldon_spec.cli.exit_codes import WrongArgument, print_diagnostics
from seldon_spec.config.build_spec import select_component
from seldon_spec.config.model import Spec
from seldon_spec.config.paths import Unreadable, decode_text, read_file
from seldon_spec.config.schema.suggest import guess
from seldon_spec.errors import SpecError

if TYPE_CHECKING:
    from seldon_spec.process.spec_reloader import WatchedFolder

ANNOTATIONS_FILE = Path("/etc/podinfo/annotations")
"""Where the operator mounts the pod's annotations (Downward API). Source: contract sections 7.4 and 7.7."""
MAX_ANNOTATIONS_BYTES = 1024 * 1024
"""Kubernetes allows 256 KiB before escaping."""


def read_annotations() -> str:
    """Return the text of the pod's annotations; empty if there is no such file, as outside a pod."""
    try:
        return decode_text(read_file(ANNOTATIONS_FILE, MAX_ANNOTATIONS_BYTES), "replace")
    except Unreadable:
        return ""


def find_component(graph: Spec, name: str) -> Spec:
    """Return the spec of a component of a graph, with the warnings and notes about it.

    Raises:
        WrongArgument: there is no such component, or it is a server of its own.
    """
    component = graph.components.get(name)
    if component is None:
        if not graph.components:
            raise WrongArgument("--component: the spec is not a graph", "leave out --component")
        match = guess(name, graph.components)
        names = ", ".join(graph.components)
        help_text = f"its components are {names}" if match is None else f'did you mean "{match}"?'
        raise WrongArgument(f'--component: the graph has no component "{name}"', help_text)
    if component.spec is None or component.url is not None:
        problem = f"--component: {name} is served at {component.url}"
        raise WrongArgument(problem, f"serve it from its own folder, or remove components.{name}.url")
    return select_component(graph, name)


def serve(
    read: Callable[[Mapping[str, str]], Spec],
    *,
    list_watched: Callable[[Spec], Sequence[Spec]] | None = None,
    on_reload: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM; SIGHUP reloads the spec.

    Args:
        read: loads the spec with the given variables; raises SpecError.
        list_watched: returns the specs in whose folders a changed file reloads the served spec too, that one first;
            None: no file is watched.
        on_reload: called after each reload with a valid spec.

    Raises:
        SpecError: the spec is invalid, a secret or a certificate cannot be read, or a package is missing.
        BindFailed: a port cannot be bound.
        ComponentFailed: the class could not be instantiated.
    """
    from seldon_spec.app import Preparation, check_server
    from seldon_spec.process.run import serve as serve_spec
    from seldon_spec.process.spec_reloader import SpecReloader

    preparation = Preparation()

    def read_prepared() -> Spec:
        spec = check_server(read(preparation.variables))
        prepared = preparation.prepare(spec)
        print_diagnostics(spec.diagnostics, with_summary=False)
        return prepared

    def read_again() -> Spec:
        spec = read_prepared()
        on_reload()
        return spec

    def find_watched(spec: Spec) -> Sequence[WatchedFolder]:
        return [] if list_watched is None else _find_folders(list_watched(spec))

    reloader = SpecReloader(read_again, _print_error, find_watched)
    serve_spec(read_prepared(), reloader)


def _print_error(error: SpecError) -> None:
    print_diagnostics(error.diagnostics, with_summary=False)


def _find_folders(specs: Sequence[Spec]) -> list[WatchedFolder]:
    """Return the folders of specs, except for those inside another one."""
    from seldon_spec.cli.image import find_patterns  # only if folders are watched
    from seldon_spec.process.spec_reloader import WatchedFolder

    folders = {spec.folder.resolve() for spec in specs}
    outer = {folder for folder in folders if folders.isdisjoint(folder.parents)}
    found = {}
    for spec in specs:
        folder = spec.folder.resolve()
        if folder in outer and folder not in found:
            alone = replace(spec, components=MappingProxyType({}))  # each folder has its own patterns
            found[folder] = WatchedFolder(folder, spec.file, find_patterns(alone))
    return [*found.values()]
