"""The command line of Seldon Core's wrapper, so that an old image's command works as it stands.

The current directory is the folder of the class; a seldon.yaml in it is the base, where there is one. The standard
library's parser reads the flags, for several may or may not have a value. Source: contract section 7.1.
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

from seldon_spec.cli.downward_api import read_annotations
from seldon_spec.cli.exit_codes import guard, leave, open_missing_streams
from seldon_spec.cli.serving import serve
from seldon_spec.config.layers.environment import is_unheeded, no_effect
from seldon_spec.config.layers.parameters import BOOLEAN_WORDS, read_boolean, read_integer
from seldon_spec.config.layers.variables import by_name
from seldon_spec.config.loader import LoadOptions, load
from seldon_spec.config.model import ServiceType, Spec
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, SeldonSpecError, Severity

CLASS = "INTERFACE_NAME"
_WARNED = frozenset({"hook-signature", "no-hook", "no-such-module"})
"""What our own commands refuse. The original never looked at the class, and took one that is only installed."""
_OLD_TRANSPORTS = ("REST", "GRPC")


class _NotWritten(SeldonSpecError):
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
        flag: as it is written.
        does: a line of the help.
        variable: whose place the flag takes: where it is given, that variable is not read.
        path: the field that it sets; empty where more is to be said than that.
        parsing: what argparse has to know.
    """

    flag: str
    does: str
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
        "what the class is to a graph (default: MODEL)",
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
        "the least severe record that is logged (default: INFO); SELDON_LOG_LEVEL stands above it",
        None,
        ("server", "log", "level"),
        {"choices": ["DEBUG", "INFO", "WARNING", "ERROR"]},
    ),
    Option("--access-log", "log each answered request", "GUNICORN_ACCESS_LOG", ("server", "log", "access"), _SWITCH),
    Option(
        "--debug",
        "indent JSON answers; starts no debugger and no reloader",
        "SELDON_DEBUG",
        ("flask", "DEBUG"),
        _SWITCH,
    ),
    Option(
        "--tracing",
        "trace requests by OpenTelemetry, where N is not 0",
        "TRACING",
        ("server", "tracing"),
        {"type": _is_not_zero, "metavar": "N", "nargs": "?", "const": True},
    ),
    Option("--workers", "serving processes (default: 1)", "GUNICORN_WORKERS", ("server", "workers"), _INTEGER),
    Option(
        "--threads", "threads that call the class (default: 1)", "GUNICORN_THREADS", ("server", "threads"), _INTEGER
    ),
    Option(
        "--max-requests",
        "after which a process is replaced (default: 0, never)",
        "GUNICORN_MAX_REQUESTS",
        ("server", "max_requests"),
        _INTEGER,
    ),
    Option(
        "--max-requests-jitter",
        "the largest random number that is added to it (default: 0)",
        "GUNICORN_MAX_REQUESTS_JITTER",
        ("server", "max_requests_jitter"),
        _INTEGER,
    ),
    Option(
        "--keepalive",
        "seconds that an idle connection is kept (default: 75)",
        "GUNICORN_KEEPALIVE",
        ("server", "keep_alive_seconds"),
        _INTEGER,
    ),
    Option("--single-threaded", "one thread, where N is not 0", "FLASK_SINGLE_THREADED", (), _INTEGER),
    Option(
        "--http-port",
        "of REST (default: 9000)",
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
        ("ports", "http"),
        _INTEGER,
    ),
    Option("--grpc-port", "default: 5000", "PREDICTIVE_UNIT_GRPC_SERVICE_PORT", ("ports", "grpc"), _INTEGER),
    Option("--metrics-port", "default: 6000", "PREDICTIVE_UNIT_METRICS_SERVICE_PORT", ("ports", "metrics"), _INTEGER),
    Option("--grpc-workers", "0: no gRPC is served; another number has no effect", "GRPC_WORKERS", (), _INTEGER),
    Option("--pidfile", "a file for the number of the process", None, (), {"metavar": "FILE", "type": Path}),
    _unused("--grpc-threads", "GRPC_THREADS"),
    _unused("--persistence", "PERSISTENCE", _COUNT),
)
"""The original's flags, all of them."""


def main() -> NoReturn:
    """The console script."""
    open_missing_streams()
    leave(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Serve what a command line of the original asks for; returns the exit code."""
    try:
        given = parse(arguments)
    except SystemExit as leaving:  # argparse's: 0 after its help, 2 after its message
        return int(leaving.code or 0)
    flags = {".".join(option.path): f"{option.flag} PORT" for option in OPTIONS if option.path[:1] == ("ports",)}
    return guard(lambda: _serve(given), flags)


def parse(arguments: list[str]) -> dict[str, Any]:
    """The class's name and each flag that is given, by their written names.

    Raises:
        SystemExit: argparse's own, after its help or its message.
    """
    parser = argparse.ArgumentParser(
        "seldon-core-microservice",
        description="Serve a class over REST and gRPC until SIGTERM, as Seldon Core's wrapper does.",
        epilog="seldon-spec serve does the same from one file.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(CLASS, help='the class: "MyModel" in MyModel.py, or "pkg.module.Class"')
    for option in OPTIONS:
        parser.add_argument(option.flag, help=option.does, dest=option.flag, **option.parsing)
    given, rest = parser.parse_known_args(arguments)
    for word in rest:
        if word.upper() in _OLD_TRANSPORTS:
            parser.error(
                f"{word}: since Seldon Core 1.5 no transport is named, REST and gRPC are both served: delete it"
            )
    if rest:
        parser.error(f"not known here: {' '.join(rest)}")
    return vars(given)


def _serve(given: Mapping[str, Any]) -> None:
    with _process_file(given.get("--pidfile")):
        serve(lambda environ: load_given(given, Path(), environ, read_annotations()))


def load_given(given: Mapping[str, Any], folder: Path, environ: Mapping[str, str], annotations: str = "") -> Spec:
    """The spec of a command line.

    Args:
        given: from :func:`parse`.
        folder: of the class, and of a seldon.yaml if there is one.
        environ: the variables; one whose place a given flag takes is not read.
        annotations: of the pod.

    Returns:
        A spec whose diagnostics also tell the flags that have no effect.

    Raises:
        SpecError: with every finding.
    """
    flags, names = _read_flags(given, environ)
    terms = LoadOptions(names, needs_file=False, only_warned=_WARNED)
    spec = load(folder, _without_replaced(given, environ), flags, annotations=annotations, terms=terms)
    return replace(spec, diagnostics=(*spec.diagnostics, *_find_unheeded(given)))


def _read_flags(
    given: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[dict[FieldPath, str], dict[FieldPath, str]]:
    """Each field that a flag sets, with its text and with the flag's name."""
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
    """The environment without the variables whose place a given flag takes."""
    replaced = {option.variable for option in OPTIONS if option.flag in given}
    return {name: text for name, text in environ.items() if name not in replaced}


def _find_unheeded(given: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """A warning for each flag that asks for what is not done here."""
    rows = by_name()
    for option in OPTIONS:
        row = rows.get(option.variable or "")
        if row is not None and option.flag in given and is_unheeded(row, _text(given[option.flag])):
            yield replace(no_effect(row, Origin(OriginKind.FLAG, option.flag)), severity=Severity.WARNING)


@contextmanager
def _process_file(file: Path | None) -> Iterator[None]:
    """The process's number in a file, as long as it serves."""
    if file is None:
        yield
        return
    try:
        file.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise _NotWritten(f"--pidfile: {file} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
