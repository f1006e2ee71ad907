"""Entry point: frequent commands without options run directly, every other command line through the option parser.

Importing Typer takes about as long as these commands do, so ``validate``, ``dockerfile``, ``schema``, ``health`` and
``serve`` with at most a path do not import it. A test runs each of them both ways.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from seldon_spec.cli.exit_codes import exit_process, open_missing_streams, run_command


def main() -> NoReturn:
    """Run the console script."""
    open_missing_streams()
    exit_process(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code."""
    return run_command(_match_plain(arguments) or (lambda: _run_parsed(arguments)))


def _run_parsed(arguments: list[str]) -> int:
    from seldon_spec.cli import command_line

    return command_line.run(arguments)


def _match_plain(arguments: list[str]) -> Callable[[], object] | None:
    """Return the command of a command line without options; None if the line needs the parser."""
    match arguments:
        case ["schema"]:
            from seldon_spec.cli import commands

            return commands.schema
        case ["validate", *rest] if _is_plain(rest):
            from seldon_spec.cli.validation import validate

            return partial(validate, Path(*rest))
        case ["dockerfile" | "health" | "serve" as name, *rest] if _is_plain(rest):
            from seldon_spec.cli import commands

            plain: dict[str, Callable[[Path], object]] = {
                "dockerfile": commands.dockerfile,
                "health": commands.health,
                "serve": commands.serve,
            }
            return partial(plain[name], Path(*rest))
    return None


def _is_plain(rest: list[str]) -> bool:
    return len(rest) <= 1 and not any(not argument or argument.startswith("-") for argument in rest)
