"""The command line of the Seldon Core wrapper, so that the command of an existing image works unchanged.

The current directory is the folder of the class; flags override a seldon.yaml in it. The parser is argparse, because
several flags have an optional value, which Typer does not support. Source: contract section 7.1.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from seldon_spec.cli.exit_codes import exit_process, open_missing_streams, run_command
from seldon_spec.cli.serving import read_annotations, serve
from seldon_spec.config.layers.parameters import BOOLEAN_WORDS, read_boolean, read_integer
from seldon_spec.config.layers.special_variables import is_unsupported, no_effect
from seldon_spec.config.layers.variables import by_name
from seldon_spec.config.loader import LoadOptions, load
from seldon_spec.config.model import SPEC_FILE, ServiceType, Spec
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, SeldonSpecError, Severity, SpecError

CLASS = "INTERFACE_NAME"
_ONLY_WARNINGS = frozenset({"hook-signature", "no-hook", "no-such-module"})
"""Errors that are warnings here: the original did not check the class, and accepted an installed one."""
_OLD_TRANSPORTS = ("REST", "GRPC")


class PidFileError(SeldonSpecError):
    """The file of ``--pidfile`` cannot be written."""


def _boolean(text: str) -> bool:
    value = read_boolean(text)
    if value is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not a boolean ({BOOLEAN_WORDS})')
    return value


def _integer(text: str) -> int:
    value = read_integer(text)
    if value is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not an integer')
    return value


def _is_not_zero(text: str) -> bool:
    return _integer(text) != 0


@dataclass(frozen=True, slots=True)
class Option:
    """One flag of the original.

    Attributes:
        flag: its name.
        help: one line.
        variable: the variable that the flag replaces; it is ignored if the flag is given.
        path: the key that the flag sets; empty if that needs more than its value.
        parsing: arguments of ``add_argument``.
    """

    flag: str
    help: str
    variable: str | None = None
    path: FieldPath = ()
    parsing: Mapping[str, Any] = field(default_factory=dict)


_INTEGER: Mapping[str, Any] = {"type": _integer, "metavar": "N"}
_SWITCH: Mapping[str, Any] = {"type": _boolean, "metavar": "B", "nargs": "?", "const": True}
_COUNT: Mapping[str, Any] = {"type": _integer, "metavar": "N", "nargs": "?", "const": 1}


def _unused(flag: str, variable: str, parsing: Mapping[str, Any] = _INTEGER) -> Option:
    return Option(flag, f"accepted, no effect: {by_name()[variable].instead}", variable, (), parsing)


OPTIONS = (
    Option(
        "--service-type",
        "role of the class in a graph (default: MODEL)",
        "SERVICE_TYPE",
        ("service_type",),
        {"choices": [kind.value for kind in ServiceType]},
    ),
    Option(
        "--parameters",
        "arguments of the class: a JSON list of {name, type, value}",
        "PREDICTIVE_UNIT_PARAMETERS",
        ("parameters",),
        {"metavar": "JSON"},
    ),
    Option(
        "--log-level",
        "minimum level of log records (default: INFO); SELDON_LOG_LEVEL overrides it",
        None,
        ("server", "log", "level"),
        {"choices": ["DEBUG", "INFO", "WARNING", "ERROR"]},
    ),
    Option("--access-log", "log each request", "GUNICORN_ACCESS_LOG", ("server", "log", "access"), _SWITCH),
    Option(
        "--debug",
        "indent JSON responses; starts no debugger and no reloader",
        "SELDON_DEBUG",
        ("flask", "DEBUG"),
        _SWITCH,
    ),
    Option(
        "--tracing",
        "trace requests with OpenTelemetry, if N is not 0",
        "TRACING",
        ("server", "tracing"),
        {"type": _is_not_zero, "metavar": "N", "nargs": "?", "const": True},
    ),
    Option("--workers", "worker processes (default: 1)", "GUNICORN_WORKERS", ("server", "workers"), _INTEGER),
    Option(
        "--threads", "threads that call the class (default: 1)", "GUNICORN_THREADS", ("server", "threads"), _INTEGER
    ),
    Option(
        "--max-requests",
        "requests after which a worker is replaced (default: 0, never)",
        "GUNICORN_MAX_REQUESTS",
        ("server", "max_requests"),
        _INTEGER,
    ),
    Option(
        "--max-requests-jitter",
        "largest random number added to --max-requests (default: 0)",
        "GUNICORN_MAX_REQUESTS_JITTER",
        ("server", "max_requests_jitter"),
        _INTEGER,
    ),
    Option(
        "--keepalive",
        "seconds before an idle connection is closed (default: 75)",
        "GUNICORN_KEEPALIVE",
        ("server", "keep_alive_seconds"),
        _INTEGER,
    ),
    Option("--single-threaded", "one thread, if N is not 0", "FLASK_SINGLE_THREADED", (), _INTEGER),
    Option(
        "--http-port",
        "REST port (default: 9000)",
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
        ("ports", "http"),
        _INTEGER,
    ),
    Option(
        "--grpc-port", "gRPC port (default: 5000)", "PREDICTIVE_UNIT_GRPC_SERVICE_PORT", ("ports", "grpc"), _INTEGER
    ),
    Option(
        "--metrics-port",
        "port of metrics (default: 6000)",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT",
        ("ports", "metrics"),
        _INTEGER,
    ),
    Option("--grpc-workers", "0: gRPC is not served; other numbers have no effect", "GRPC_WORKERS", (), _INTEGER),
    Option("--pidfile", "write the process ID to this file", None, (), {"metavar": "FILE", "type": Path}),
    _unused("--grpc-threads", "GRPC_THREADS"),
    _unused("--persistence", "PERSISTENCE", _COUNT),
)
"""Every flag of the original."""


def main() -> NoReturn:
    """Run the console script."""
    open_missing_streams()
    exit_process(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Serve according to a command line of the original; return the exit code."""
    try:
        given = parse(arguments)
    except SystemExit as error:  # from argparse: 0 after the help, 2 after an error message
        return int(error.code or 0)
    flags = {".".join(option.path): f"{option.flag} PORT" for option in OPTIONS if option.path[:1] == ("ports",)}
    return run_command(lambda: _serve(given), flags)


def parse(arguments: list[str]) -> dict[str, Any]:
    """Return the name of the class and the given flags, by the name of the argument or flag.

    Raises:
        SystemExit: from argparse, after the help or an error message.
    """
    parser = argparse.ArgumentParser(
        "seldon-core-microservice",
        description="Serve a class over REST and gRPC until SIGTERM, like the Seldon Core wrapper.",
        epilog="seldon-spec serve does the same from one file.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(CLASS, help='the class: "MyModel" in MyModel.py, or "pkg.module.Class"')
    for option in OPTIONS:
        parser.add_argument(option.flag, help=option.help, dest=option.flag, **option.parsing)
    given, rest = parser.parse_known_args(arguments)
    for word in rest:
        if word.upper() in _OLD_TRANSPORTS:
            parser.error(f"{word}: since Seldon Core 1.5 REST and gRPC are both served: remove this argument")
    if rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    return vars(given)


def _serve(given: Mapping[str, Any]) -> None:
    with _process_file(given.get("--pidfile")):
        serve(lambda environ: load_given(given, Path(), environ, read_annotations()))


def load_given(given: Mapping[str, Any], folder: Path, environ: Mapping[str, str], annotations: str = "") -> Spec:
    """Load the spec of a command line.

    Args:
        given: from :func:`parse`.
        folder: the folder of the class, and of a seldon.yaml if there is one.
        environ: the variables; one that a given flag replaces is ignored.
        annotations: of the pod.

    Returns:
        A spec whose diagnostics include the flags that have no effect.

    Raises:
        SpecError: the spec is invalid.
    """
    flags, names = _read_flags(given, environ)
    options = LoadOptions(names, needs_file=False, only_warned=_ONLY_WARNINGS)
    try:
        spec = load(folder, _without_replaced(given, environ), flags, annotations=annotations, options=options)
    except SpecError as error:
        raise SpecError(tuple(map(_explain_graph, error.diagnostics))) from None
    if spec.origin("server", "page").kind is OriginKind.DEFAULT:  # the original has no page
        spec = replace(spec, server=replace(spec.server, page=False))
    return replace(spec, diagnostics=(*spec.diagnostics, *_find_ineffective(given)))


def _explain_graph(finding: Diagnostic) -> Diagnostic:
    if finding.code != "graph-or-class" or finding.path != ("graph",):
        return finding
    return replace(finding, help=f"this command serves one class; for the graph, run: seldon-spec serve {SPEC_FILE}")


def _read_flags(
    given: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[dict[FieldPath, str], dict[FieldPath, str]]:
    """Return the text of each key that a flag sets, and the name of the flag."""
    flags: dict[FieldPath, str] = {("class_name",): given[CLASS]}
    names: dict[FieldPath, str] = {("class_name",): CLASS}

    def set_field(path: FieldPath, text: str, name: str) -> None:
        flags[path], names[path] = text, name

    rows = by_name()
    for option in OPTIONS:
        if option.path and option.flag in given:
            text = _text(given[option.flag])
            words = rows[option.variable].words if option.variable else {}
            set_field(option.path, words.get(text, text), option.flag)
    if environ.get("SELDON_LOG_LEVEL", "").strip():
        flags.pop(("server", "log", "level"), None)
    if given.get("--single-threaded"):
        set_field(("server", "threads"), "1", "--single-threaded")
    elif "--single-threaded" not in given and _is_on(environ.get("FLASK_SINGLE_THREADED", "")):
        flags.pop(("server", "threads"), None)
    if given.get("--grpc-workers") == 0:
        set_field(("ports", "grpc"), "null", "--grpc-workers")
    elif "--grpc-workers" not in given and read_integer(environ.get("GRPC_WORKERS", "")) == 0:
        flags.pop(("ports", "grpc"), None)
    return flags, names


def _is_on(text: str) -> bool:
    value = read_boolean(text)
    return bool(read_integer(text)) if value is None else value


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without_replaced(given: Mapping[str, Any], environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment without the variables that a given flag replaces."""
    replaced = {option.variable for option in OPTIONS if option.flag in given}
    return {name: text for name, text in environ.items() if name not in replaced}


def _find_ineffective(given: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Yield a warning for each flag whose value has no effect."""
    rows = by_name()
    for option in OPTIONS:
        row = rows.get(option.variable or "")
        if row is not None and option.flag in given and is_unsupported(row, _text(given[option.flag])):
            yield replace(no_effect(row, Origin(OriginKind.FLAG, option.flag)), severity=Severity.WARNING)


@contextmanager
def _process_file(file: Path | None) -> Iterator[None]:
    """Keep the process ID in a file while serving."""
    if file is None:
        yield
        return
    try:
        file.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise PidFileError(f"--pidfile: {file} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
