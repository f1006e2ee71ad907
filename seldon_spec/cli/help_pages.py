"""The layout of ``--help``: commands in groups, usage lines without types, examples and a page of the documentation.

Typer has groups only with rich, whose import takes longer than most commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.core import TyperCommand, TyperGroup

from seldon_spec.cli.command_help import COMMAND_HELP, MAIN_PAGE, Group


class CommandPage(TyperCommand):
    """The help of one command."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the usage line after the name of the command: ``[OPTIONS] DATA [PATH]...``."""
        return ["[OPTIONS]", *map(_describe_argument, self._arguments(ctx))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments by their names, and the options."""
        arguments = [(_name(each), each.get_help_record(ctx)[1]) for each in self._arguments(ctx)]
        options = [
            record
            for each in self.get_params(ctx)
            if each.param_type_name == "option" and (record := each.get_help_record(ctx)) is not None
        ]
        for heading, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - overrides
        """Write the examples and the page of the documentation."""
        described = COMMAND_HELP[str(self.name)]
        with formatter.section("Examples"):
            for summary, line in described.examples:
                formatter.write(f"  # {summary}\n  {line}\n")
        formatter.write(f"\nDocumentation: {described.page}\n")

    def _arguments(self, ctx: Any) -> Iterator[Any]:
        return (each for each in self.get_params(ctx) if each.param_type_name == "argument")


class MainPage(TyperGroup):
    """The help of the program: its options, then the commands in groups."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by group, each with the first paragraph of its help."""
        for group in Group:
            rows = [
                (name, _summarise(each))
                for name in self.list_commands(ctx)
                if (each := self.get_command(ctx, name)) is not None
                and getattr(each, "rich_help_panel", None) == group.value
            ]
            with formatter.section(group.value):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - overrides
        """Write where to read on."""
        formatter.write(f"\nseldon-spec COMMAND --help prints examples. Documentation: {MAIN_PAGE}\n")


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _describe_argument(argument: Any) -> str:
    name = _name(argument) if argument.required else f"[{_name(argument)}]"
    return name if argument.nargs == 1 else f"{name}..."


def _summarise(command: Any) -> str:
    return " ".join((command.help or "").partition("\n\n")[0].split())
