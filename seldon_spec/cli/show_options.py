"""The options of ``show``."""

from __future__ import annotations

from typing import Annotated

import typer

from seldon_spec.config.schema.lookup import fields, join


def _complete_key(incomplete: str) -> list[str]:
    """Return the sections and keys that ``--only`` accepts."""
    keys = {path[:length]: None for path, _ in fields() for length in range(1, len(path) + 1)}
    return [join(path) for path in keys if join(path).startswith(incomplete)]


ChangedOption = Annotated[bool, typer.Option("--changed", help="Print only values that differ from the defaults.")]
KeysOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="KEY",
        help="Print only this key or section, e.g. server.log; repeatable.",
        autocompletion=_complete_key,
    ),
]
