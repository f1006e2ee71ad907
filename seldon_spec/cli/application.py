"""The Typer application, to which modules add commands, and the options of every command line."""

from __future__ import annotations

from typing import Annotated

import typer

from seldon_spec import __version__

app = typer.Typer(
    name="seldon-spec",
    help="One seldon.yaml beside a Python class: served, packaged and deployed as a model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(*, is_set: bool) -> None:
    if is_set:
        typer.echo(f"seldon-spec {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=lambda v: _print_version(is_set=v)
        ),
    ] = False,
) -> None:
    pass
