"""The options of ``serve``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated

import typer

from seldon_spec.cli.spec_options import parse_settings
from seldon_spec.errors import FieldPath


class Transport(str, Enum):
    """How the front end of a graph calls its components."""

    REST = "rest"
    GRPC = "grpc"


PortOption = Annotated[
    str | None, typer.Option("--port", "-p", metavar="PORT", help="Listen on this port (REST); sets ports.http.")
]
HostOption = Annotated[
    str | None, typer.Option("--host", metavar="HOST", help="Listen on this address; sets server.host.")
]
WorkersOption = Annotated[
    str | None, typer.Option("--workers", metavar="N", help="Number of worker processes; sets server.workers.")
]
ReloadOption = Annotated[
    bool, typer.Option("--reload", help="Replace the workers when a file of the folder, or of a component's, changes.")
]
ComponentOption = Annotated[
    str | None, typer.Option("--component", metavar="NAME", help="Serve only this component of the graph.")
]
ServedOption = Annotated[
    str | None, typer.Option("--component", metavar="NAME", help="Check the server of this component of the graph.")
]
ApartOption = Annotated[
    bool, typer.Option("--apart", help="Serve each component of the graph in a server of its own on this machine.")
]
TransportOption = Annotated[
    Transport | None, typer.Option("--transport", help="With --apart: how components are called. Default: rest.")
]

_FLAG_FIELDS: Mapping[str, FieldPath] = {
    "port": ("ports", "http"),
    "host": ("server", "host"),
    "workers": ("server", "workers"),
}


def join_flags(settings: list[str] | None, **options: str | None) -> tuple[dict[FieldPath, str], dict[FieldPath, str]]:
    """Return values by key, and the names of options by key.

    Args:
        settings: of ``--set``.
        options: the values of ``--port``, ``--host`` and ``--workers``.
    """
    flags = parse_settings(settings)
    names: dict[FieldPath, str] = {}
    for name, value in options.items():
        if value is not None:
            flags[_FLAG_FIELDS[name]], names[_FLAG_FIELDS[name]] = value, f"--{name}"
    return flags, names
