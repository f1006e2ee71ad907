"""The commands: load, act, report. Independent of the option parser; ``main`` and ``options`` call them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from seldon_spec import __version__
from seldon_spec.cli.exit_codes import OK, USER_ERROR, print_diagnostics, write_stderr
from seldon_spec.cli.serving import read_annotations
from seldon_spec.config.build_spec import list_local
from seldon_spec.config.checks.class_rules import MISSPELT
from seldon_spec.config.loader import FOR_IMAGE, LoadOptions, load
from seldon_spec.config.model import Spec
from seldon_spec.config.paths import leaving_link
from seldon_spec.errors import Diagnostic, FieldPath, SeldonSpecError, Severity, SpecError

if TYPE_CHECKING:
    from seldon_spec.cli.image import BuildOptions

Flags = Mapping[FieldPath, str]

NO_FLAGS: Flags = {}


class FileError(SeldonSpecError):
    """A file named on the command line cannot be read or written."""


def migrate(folder: Path, node: str | None, *, is_forced: bool, is_writing: bool) -> int:
    """Write seldon.yaml from the files of a Seldon Core image. Return the exit code."""
    from seldon_spec.cli import migration

    return migration.migrate(folder, node, is_forced=is_forced, is_writing=is_writing)


def show(
    path: Path,
    flags: Flags = NO_FLAGS,
    *,
    format: str = "text",  # noqa: A002
    is_changed: bool = False,
    keys: Sequence[FieldPath] = (),
) -> None:
    """Print the effective spec, each value with its origin, or a drawing of its graph.

    Args:
        path: the folder of the spec, or the file.
        flags: of the spec.
        format: ``text``, ``json`` or ``mermaid``.
        is_changed: print only values that differ from the defaults.
        keys: print only these keys and sections; empty: all.
    """
    spec = _load(path, flags, read_annotations())
    if format == "mermaid":
        from seldon_spec.diagram.mermaid import render_mermaid

        print_text(render_mermaid(spec))
        return
    from seldon_spec.cli.show import render_json, render_text
    from seldon_spec.cli.show_selection import select

    chosen = select(spec, keys, is_changed=is_changed) if keys or is_changed else None
    print_text({"json": render_json, "text": render_text}[format](spec, chosen))


def schema() -> None:
    """Print the JSON Schema."""
    from seldon_spec.config.schema.lookup import schema_text

    print_text(schema_text())


def dockerfile(
    path: Path,
    flags: Flags = NO_FLAGS,
    *,
    form: str = "dockerfile",
    output: Path | None = None,
    compared: Path | None = None,
) -> int:
    """Print the Dockerfile, or write it to ``output``, or print how ``compared`` differs from it.

    Args:
        form: ``dockerfile``, ``dockerignore`` or ``classic``.

    Returns:
        The exit code: 1 if ``compared`` differs.
    """
    from seldon_spec.deploy.dockerfile.build_environment import find_dropped

    spec = _load_for_image(path, flags)
    text = _render_form(form)(spec, __version__)
    print_diagnostics(tuple(find_dropped(spec)), path, with_summary=False)
    if compared is not None:
        return compare_file(compared, text)
    if output is None:
        print_text(text)
    else:
        folder, target = spec.folder.absolute(), output.absolute()
        link = leaving_link(folder, target) if target.is_relative_to(folder) else None
        if link is not None:
            raise FileError(f"{link} is a link that leaves the folder; nothing was written")
        write_file(output, text)
    return OK


def _render_form(form: str) -> Callable[[Spec, str], str]:
    if form == "dockerignore":
        from seldon_spec.deploy.dockerfile.dockerignore import render_dockerignore

        return render_dockerignore
    if form == "classic":
        from seldon_spec.deploy.dockerfile.classic import render_classic

        return render_classic
    from seldon_spec.deploy.dockerfile.dockerfile import render_dockerfile

    return render_dockerfile


def compare_file(path: Path, text: str) -> int:
    """Print the unified diff from a file to the text that it should contain."""
    import difflib

    try:
        found = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from None
    if found == text:
        return OK
    old, new = found.splitlines(keepends=True), text.splitlines(keepends=True)
    lines = difflib.unified_diff(old, new, str(path), f"{path} (rendered)")
    print_text("".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines))
    write_stderr(f"error: {path} differs from the rendered file; update it with --output {path}")
    return USER_ERROR


def write_file(path: Path, text: str) -> None:
    """Write a file, or raise FileError."""
    try:
        path.write_bytes(text.encode("utf-8"))
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}") from None


def build(path: Path, options: BuildOptions, flags: Flags = NO_FLAGS) -> None:
    """Build the image and print its name, ID and size."""
    from seldon_spec.cli.image import build_image
    from seldon_spec.deploy.dockerfile.build_environment import find_dropped

    spec = _load_for_image(path, flags)
    print_diagnostics(tuple(find_dropped(spec)), path, with_summary=False)
    print_text(build_image(spec, options) + "\n")


def explain(code: str | None) -> None:
    """Print what a diagnostic means and how to fix it; without a code, list every code."""
    if code is None:
        from seldon_spec.cli.diagnostic_index import render_index

        print_text(render_index())
        return
    from seldon_spec.cli.explain import explain as explain_code

    print_text(explain_code(code))


def serve(
    path: Path,
    flags: Flags = NO_FLAGS,
    *,
    flag_names: Flags = NO_FLAGS,
    is_watched: bool = False,
    component: str | None = None,
) -> None:
    """Serve until SIGTERM; with ``is_watched``, replace the workers after each change of a file.

    Args:
        component: the component of a graph that is served alone; None: the whole spec.
    """
    from seldon_spec.cli import serving

    graphs: list[Spec] = []

    def read(environ: Mapping[str, str]) -> Spec:
        spec = _load_served(path, environ, flags, flag_names, component)
        if component is None:
            return spec
        graphs[:] = [spec]
        return serving.find_component(spec, component)

    def list_watched(spec: Spec) -> list[Spec]:
        return [spec, *list_local(spec), *graphs]

    serving.serve(read, list_watched=list_watched if is_watched else None)


def serve_on_ray(path: Path, flags: Flags, *, flag_names: Flags) -> None:
    """Serve with Ray Serve until SIGTERM."""
    from seldon_spec.cli.ray import serve_on_ray

    serve_on_ray(_load_served(path, os.environ, flags, flag_names), flags)


def serve_apart(path: Path, flags: Flags, *, flag_names: Flags, is_watched: bool, transport: str) -> None:
    """Serve a graph whose local components run in processes of their own, until SIGTERM.

    Args:
        transport: ``rest`` or ``grpc``.
    """
    from seldon_spec.cli import serving
    from seldon_spec.cli.apart import serve_apart

    def serve_front(all_flags: Flags, on_reload: Callable[[], None]) -> None:
        urls = all_flags.keys() - flags.keys()
        names = {**dict.fromkeys(urls, "--apart"), **flag_names}
        started = {name for _, name, _ in urls}

        def list_watched(spec: Spec) -> list[Spec]:
            parts = [component.spec for name, component in spec.components.items() if name in started]
            return [spec, *(each for part in parts if part is not None for each in (part, *list_local(part)))]

        serving.serve(
            lambda environ: _load_served(path, environ, all_flags, names),
            list_watched=list_watched if is_watched else None,
            on_reload=on_reload,
        )

    serve_apart(path, _load_served(path, os.environ, flags, flag_names), flags, transport, os.environ, serve_front)


def _load_served(
    path: Path, environ: Mapping[str, str], flags: Flags, flag_names: Flags, component: str | None = None
) -> Spec:
    options = LoadOptions(flag_names, component=component)
    return _require_hook(load(path, environ, flags, annotations=read_annotations(), options=options))


def predict(
    data: str,
    at: str,
    flags: Flags = NO_FLAGS,
    *,
    protocol: str | None = None,
    ca: Path | None = None,
    token_file: Path | None = None,
) -> None:
    """Print one prediction: of a running server if ``at`` is a URL, else computed in this process.

    Args:
        data: as ``client.read_data`` takes it.
        at: a path or a URL.
        flags: of the spec.
        protocol: ``v1`` or ``v2``; None: v2 for a URL with a path of it, else v1.
        ca, token_file: of ``Credentials``.
    """
    from seldon_spec.cli import client, open_inference
    from seldon_spec.client import Credentials

    given = client.read_data(data)
    if "://" in at:
        credentials = Credentials(ca, token_file)
        if protocol == "v2" or (protocol is None and open_inference.is_open_inference_url(at)):
            response = open_inference.send(at, given, credentials)
        else:
            response = client.send_message(at, client.make_message(given), credentials)
    else:
        from seldon_spec.app import predict_once, prepare

        spec = _require_hook(load(Path(at), os.environ, flags))
        is_v2 = protocol == "v2"
        declared = [(tensor.name, tensor.datatype) for tensor in spec.inputs]
        message = open_inference.make_request(given, declared) if is_v2 else client.make_message(given)
        stdout = _redirect_stdout()
        try:
            prepared = prepare(spec)
            print_diagnostics(spec.diagnostics, with_summary=False)
            response = predict_once(prepared, message, is_v2=is_v2)
        finally:
            sys.stdout = stdout
    print_text(response.rstrip("\n") + "\n")


def check_contract(
    path: Path,
    flags: Flags,
    urls: Sequence[str],
    *,
    contract: Path | None,
    format: str,  # noqa: A002
    limits: Mapping[str, Any],
    credentials: Mapping[str, Path | None],
) -> int:
    """Test a model by its contract, and print the report. Return the exit code.

    Args:
        path: the folder of the spec, or the file.
        flags: of the spec.
        urls: of a running server; empty: the class is tested in this process.
        contract: a ``contract.json``.
        format: of the report.
        limits: the fields of ``contract_test.run.Options``.
        credentials: the fields of ``Credentials``.
    """
    from seldon_spec.cli.contract_test import render, run_test
    from seldon_spec.client import Credentials
    from seldon_spec.contract_test.run import Options

    stdout = _redirect_stdout()
    try:
        report = run_test(path, flags, urls, Credentials(**credentials), Options(**limits), contract)
    finally:
        sys.stdout = stdout
    print_text(render(report, format))
    return OK if report.is_ok else USER_ERROR


def _require_hook(spec: Spec) -> Spec:
    """Return the spec, or raise SpecError if its class has a misspelt hook: every response would be empty."""
    return _refuse(spec, lambda d: d.code == "no-hook" and (d.help or "").startswith(MISSPELT))


def _refuse(spec: Spec, is_error: Callable[[Diagnostic], bool]) -> Spec:
    """Return the spec, or raise SpecError with its warnings that are errors for the command."""
    if any(map(is_error, spec.diagnostics)):
        raise SpecError(tuple(replace(d, severity=Severity.ERROR) if is_error(d) else d for d in spec.diagnostics))
    return spec


def _redirect_stdout() -> TextIO:
    """Redirect stdout to stderr, also for child processes, and return a stream for the response.

    The descriptor stays redirected until the process ends, because the code of the class may run until then.
    """
    stdout = sys.stdout
    try:
        is_own = stdout.fileno() == 1
    except (AttributeError, OSError, ValueError):  # closed, or a program's own object
        is_own = False
    sys.stdout = sys.stderr
    if not is_own:
        return stdout
    stdout.flush()
    kept = os.fdopen(os.dup(1), "w", encoding=stdout.encoding)
    os.dup2(2, 1)
    return kept


def health(path: Path, flags: Flags = NO_FLAGS, *, component: str | None = None) -> None:
    """Check that the server of the spec is ready, and print its URL.

    Args:
        component: the component of a graph that the server serves alone; None: the whole spec.
    """
    from seldon_spec.cli import client, serving

    spec = load(path, os.environ, flags, options=LoadOptions(component=component))
    url = client.check_ready(spec if component is None else serving.find_component(spec, component))
    print_text(f"ready: {url}\n")


def _load_for_image(path: Path, flags: Flags) -> Spec:
    """Load the spec and print its warnings; a component that the image would not contain is an error."""
    spec = _refuse(load(path, os.environ, flags, options=FOR_IMAGE), lambda d: d.code == "graph-outside-folder")
    print_diagnostics(spec.diagnostics, path, with_summary=False)
    return spec


def _load(path: Path, flags: Flags, annotations: str = "") -> Spec:
    """Load the spec and print its warnings; the annotations of the pod apply to a server, not to an image."""
    spec = load(path, os.environ, flags, annotations=annotations)
    print_diagnostics(spec.diagnostics, path, with_summary=False)
    return spec


def print_text(text: str) -> None:
    """Write to stdout; the flush raises BrokenPipeError here if the pipe is closed."""
    sys.stdout.write(text)
    sys.stdout.flush()
