"""The Typer application, to which modules add commands, and the options of every command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from seldon_spec import __version__
from seldon_spec.cli.command_help import Group
from seldon_spec.cli.help_pages import CommandPage, MainPage

app = typer.Typer(
    name="seldon-spec",
    cls=MainPage,
    help="Serve, package and deploy a Python class, a model file or a graph from one seldon.yaml.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Function = TypeVar("_Function", bound=Callable[..., object])


def command(group: Group, name: str | None = None) -> Callable[[_Function], _Function]:
    """Return a decorator that adds a command to a group of the list of commands."""
    return app.command(name, cls=CommandPage, rich_help_panel=group.value)


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
