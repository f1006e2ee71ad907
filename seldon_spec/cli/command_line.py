"""Run a command line with Typer."""

from __future__ import annotations

import contextlib
from typing import Any

import typer

import seldon_spec.cli.options  # noqa: F401 - adds the commands
from seldon_spec.cli.application import app
from seldon_spec.cli.exit_codes import INTERRUPTED, OK, WRONG_USAGE, write_stderr
from seldon_spec.config.schema.lookup import fields, join

# Typer contains a copy of click since 0.26 and depended on click before; hence the search in the bases of BadParameter.
_UsageError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def run(arguments: list[str]) -> int:
    """Parse a command line and run its command; return the exit code."""
    try:
        code = app(arguments, prog_name="seldon-spec", standalone_mode=False)
    except _UsageError as error:
        with contextlib.suppress(OSError):  # stderr cannot be written
            error.show()
        key = _find_meant_key(error)
        if key is not None:
            write_stderr(f"     = help: write --set {key}=VALUE")
        return WRONG_USAGE
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else OK


def _find_meant_key(error: Any) -> str | None:
    """Return the key that an unknown option names, if the command has ``--set``."""
    if type(error).__name__ != "NoSuchOption" or all(each.name != "settings" for each in error.ctx.command.params):
        return None
    from seldon_spec.config.schema.suggest import find_key

    key = find_key(error.option_name.lstrip("-").replace("-", "_"))
    return join(key) if key in dict(fields()) else None
