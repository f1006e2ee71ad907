"""The commands. Each is a few lines: load, act, report."""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from seldon_spec import __version__
from seldon_spec.cli.exits import guard, tell

if TYPE_CHECKING:
    from seldon_spec.errors import FieldPath
    from seldon_spec.spec.model import Spec

app = typer.Typer(
    name="seldon-spec",
    help="One seldon.yaml beside a Python class: served, packaged and deployed as a model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="The folder of seldon.yaml, or the file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one field above file and environment, e.g. server.workers=4."),
]


class Format(str, Enum):
    """How findings or a spec are printed."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print.")]


def main() -> NoReturn:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code."""
    return guard(lambda: app(arguments, prog_name="seldon-spec", standalone_mode=False))


def _version(*, is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"seldon-spec {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=lambda v: _version(is_asked=v)),
    ] = False,
) -> None:
    pass


@app.command()
def validate(
    path: PathArgument = Path(),
    *,
    settings: SetOption = None,
    format: FormatOption = Format.TEXT,  # noqa: A002 - the option's name
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")] = False,
) -> None:
    """Tell every problem at once, without importing the class."""
    from seldon_spec.cli import report
    from seldon_spec.errors import SpecError
    from seldon_spec.spec.loader import load, made_strict

    try:
        findings = load(path, os.environ, _flags(settings)).diagnostics
    except SpecError as error:
        findings = error.diagnostics
    if strict:
        findings = made_strict(findings)
    if format is Format.JSON:
        typer.echo(report.render_json(findings), nl=False)
        raise typer.Exit(report.exit_code(findings))
    if report.exit_code(findings):
        raise SpecError(findings)
    tell(findings, path)


@app.command()
def show(
    path: PathArgument = Path(),
    *,
    settings: SetOption = None,
    format: FormatOption = Format.TEXT,  # noqa: A002 - the option's name
) -> None:
    """Print the effective spec, each value with its origin."""
    from seldon_spec.cli import show as page

    spec = _load(path, settings)
    typer.echo(page.render_json(spec) if format is Format.JSON else page.render_text(spec), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of seldon.yaml."""
    from seldon_spec.spec.schema import schema_text

    typer.echo(schema_text(), nl=False)


@app.command()
def dockerfile(path: PathArgument = Path(), *, settings: SetOption = None) -> None:
    """Print the Dockerfile."""
    from seldon_spec.render.baked import find_left_out
    from seldon_spec.render.dockerfile import render_dockerfile

    spec = _load(path, settings)
    text = render_dockerfile(spec, __version__)
    tell(tuple(find_left_out(spec)), path, is_summed_up=False)
    typer.echo(text, nl=False)


@app.command()
def serve(path: PathArgument = Path(), *, settings: SetOption = None) -> None:
    """Serve the class over REST and gRPC until SIGTERM."""
    from seldon_spec.app import prepare
    from seldon_spec.server.run import serve as serve_spec

    serve_spec(prepare(_load(path, settings)))


@app.command()
def predict(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A JSON array, a whole message, @FILE, or - for stdin.")],
    *,
    at: Annotated[str, typer.Option("--at", metavar="PATH|URL", help="A folder or file, or a server's URL.")] = ".",
    settings: SetOption = None,
) -> None:
    """Print one prediction, made here or by a running server (http://… or grpc://…)."""
    from seldon_spec.cli import client

    message = client.read_message(data)
    if "://" in at:
        if settings:
            raise typer.BadParameter("a running server has its own settings", param_hint="--set")
        answer = client.ask_server(at, message)
    else:
        from seldon_spec.app import predict_once, prepare

        answer = predict_once(prepare(_load(Path(at), settings)), message)
    typer.echo(answer.rstrip("\n"))


@app.command()
def health(path: PathArgument = Path(), *, settings: SetOption = None) -> None:
    """Ask the server that the spec describes whether it is ready."""
    from seldon_spec.cli import client
    from seldon_spec.spec.loader import load

    client.check_ready(load(path, os.environ, _flags(settings)))


def _load(path: Path, settings: list[str] | None) -> Spec:
    """The spec, with its warnings told."""
    from seldon_spec.spec.loader import load

    spec = load(path, os.environ, _flags(settings))
    tell(spec.diagnostics, path, is_summed_up=False)
    return spec


def _flags(settings: list[str] | None) -> dict[FieldPath, str]:
    """``--set server.workers=4`` as a field and a text; of a free mapping's key the dots belong to the key."""
    from seldon_spec.spec.schema import split_path

    flags: dict[FieldPath, str] = {}
    for setting in settings or ():
        key, equals, text = setting.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f'"{setting}" is not KEY=VALUE', param_hint="--set")
        flags[split_path(key)] = text
    return flags
