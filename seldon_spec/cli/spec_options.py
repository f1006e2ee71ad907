"""The argument and the option of every command that reads a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seldon_spec.config.schema.lookup import fields, join, split_path
from seldon_spec.config.secret_names import HIDDEN, names_secret
from seldon_spec.errors import FieldPath


def _complete_setting(incomplete: str) -> list[str]:
    """Return the keys that ``--set`` accepts, each with an equals sign."""
    return [f"{join(path)}=" for path, _ in fields() if join(path).startswith(incomplete)]


PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="The folder of seldon.yaml, or the file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override one key, e.g. server.workers=4; takes precedence over file and environment.",
        autocompletion=_complete_setting,
    ),
]


def parse_settings(settings: list[str] | None) -> dict[FieldPath, str]:
    """Parse each ``--set KEY=VALUE``; in a mapping with free keys, dots are part of the key."""
    flags = {}
    for setting in settings or ():
        key, equals, text = setting.partition("=")
        if not key or not equals:
            shown = HIDDEN if names_secret(setting) else f'"{setting}"'
            raise typer.BadParameter(f"{shown} is not KEY=VALUE", param_hint="--set")
        flags[split_path(key)] = text
    return flags
