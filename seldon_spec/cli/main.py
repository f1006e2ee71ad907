"""The door: plain forms of the commands that people run all day go straight in, every other line through the parser.

Importing the option parser costs more than these commands do, so a bare ``validate``, ``dockerfile``, ``schema``,
``health`` or ``serve``, with a path at most, does not wait for it. A test runs each through both doors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from seldon_spec.cli.exit_codes import guard, leave, open_missing_streams


def main() -> NoReturn:
    """The console script."""
    open_missing_streams()
    leave(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code."""
    return guard(_find_quick(arguments) or (lambda: _run_parsed(arguments)))


def _run_parsed(arguments: list[str]) -> int:
    from seldon_spec.cli import options

    return options.run(arguments)


def _find_quick(arguments: list[str]) -> Callable[[], object] | None:
    """The command that a plain line means; None if the line needs the parser."""
    match arguments:
        case ["schema"]:
            from seldon_spec.cli import commands

            return commands.schema
        case ["validate" | "dockerfile" | "health" | "serve" as name, *rest] if _is_plain(rest):
            from seldon_spec.cli import commands

            quick: dict[str, Callable[[Path], object]] = {
                "validate": commands.validate,
                "dockerfile": commands.dockerfile,
                "health": commands.health,
                "serve": commands.serve,
            }
            return partial(quick[name], Path(*rest))
    return None


def _is_plain(rest: list[str]) -> bool:
    return len(rest) <= 1 and not any(not word or word.startswith("-") for word in rest)
