"""The options of the commands that send requests: ``predict`` and ``test``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class ReportFormat(str, Enum):
    """Output formats of a contract test."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


class ProtocolName(str, Enum):
    """Protocols of a request."""

    V1 = "v1"
    V2 = "v2"


CaOption = Annotated[
    Path | None, typer.Option("--ca", metavar="FILE", help="Trust these CA certificates instead of the system's.")
]
TokenOption = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="Send the bearer token in this file.")
]
UrlsOption = Annotated[
    list[str] | None,
    typer.Option("--at", metavar="URL", help="Test a running server (http[s]://… and grpc[s]://…); repeatable."),
]
RequestsOption = Annotated[
    int, typer.Option("--requests", "-n", metavar="N", min=1, help="The number of different valid requests.")
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="The seed of the random values.")]
BudgetOption = Annotated[
    str, typer.Option("--budget", metavar="TIME", help="The time for all requests, e.g. 30s or 2m.")
]
StatefulOption = Annotated[bool, typer.Option("--stateful", help="Allow different responses to the same request.")]
ContractOption = Annotated[
    Path | None,
    typer.Option("--contract", metavar="FILE", help="Read the contract from a contract.json of Seldon Core."),
]
ReportOption = Annotated[ReportFormat, typer.Option("--format", help="Output format.")]
