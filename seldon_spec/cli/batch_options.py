"""The command ``batch`` with its options."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from seldon_spec.batch.formats import Format
from seldon_spec.cli.server_options import CaOption, ProtocolName, TokenOption
from seldon_spec.cli.spec_options import SetOption, parse_settings


class Place(str, Enum):
    """Where the model runs, if it is neither a server's nor in the process of the command."""

    RAY = "ray"


def batch(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A CSV, JSON Lines, npy or Parquet file, or a folder.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The rows with their predictions.")],
    at: Annotated[
        str | None, typer.Option("--at", metavar="URL", help="A running server (http[s]://… or grpc[s]://…).")
    ] = None,
    path: Annotated[
        Path | None, typer.Option("--path", metavar="PATH", help="The folder of seldon.yaml, or the file. Default: .")
    ] = None,
    settings: SetOption = None,
    on: Annotated[
        Place | None, typer.Option("--on", help="Predict on a cluster: that of RAY_ADDRESS, else one of this machine.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an output that is incomplete, or start if there is none.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    failed: Annotated[
        Path | None,
        typer.Option("--failed", metavar="FILE", help="Rows without predictions. Default: OUTPUT.failed.jsonl"),
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="NAME,…", help="Send only these columns of DATA.")
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header", help="Whether a CSV file names its columns. Default: unless all are numbers."
        ),
    ] = None,
    input_format: Annotated[
        Format | None, typer.Option("--input-format", help="Format of DATA. Default: by its suffix.")
    ] = None,
    output_format: Annotated[
        Format | None, typer.Option("--output-format", help="Format of the output. Default: by its suffix.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", metavar="N", min=1, max=65536, help="Rows of a request. Default: tuned.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", metavar="N", min=1, max=256, help="Requests in flight. Default: tuned."),
    ] = None,
    retries: Annotated[
        int, typer.Option("--retries", metavar="N", min=0, max=100, help="Repeat a request that was not accepted.")
    ] = 5,
    timeout: Annotated[str, typer.Option("--timeout", metavar="TIME", help="Of a request, e.g. 30s or 2m.")] = "60s",
    protocol: Annotated[
        ProtocolName | None,
        typer.Option("--protocol", help="v1: Seldon's; v2: Open Inference. Default: what is served."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="A model of a server with several (v2).")
    ] = None,
    ca: CaOption = None,
    token_file: TokenOption = None,
) -> None:
    """Predict every row of a file, and write them beside the rows."""
    from seldon_spec.cli.batch import Choices, run_batch
    from seldon_spec.client import Credentials
    from seldon_spec.contract_test.start import parse_duration

    if at is not None and (path is not None or settings or on):
        hint = "--path" if path is not None else "--set" if settings else "--on"
        raise typer.BadParameter("cannot be combined with the URL of a running server", param_hint=hint)
    if at is None and (ca or token_file or model):
        hint = "--ca" if ca else "--token-file" if token_file else "--model"
        raise typer.BadParameter("needs the URL of a server in --at", param_hint=hint)
    if resume and overwrite:
        raise typer.BadParameter("cannot be combined with --resume", param_hint="--overwrite")
    seconds = parse_duration(timeout)
    if not seconds:
        raise typer.BadParameter(f'"{timeout}" is not a time such as 30s, 2m or 500ms', param_hint="--timeout")
    wanted = None if columns is None else [name.strip() for name in columns.split(",")]
    choices = Choices(
        data,
        output,
        failed or output.with_name(f"{output.name}.failed.jsonl"),
        columns=wanted,
        has_header=header,
        input_format=input_format,
        output_format=output_format,
        is_resumed=resume,
        is_overwritten=overwrite,
        rows=rows,
        concurrency=concurrency,
        retries=retries,
        timeout=seconds,
        protocol=None if protocol is None else protocol.value,
        model=model,
        is_on_ray=on is Place.RAY,
    )
    code = run_batch(choices, at, path or Path(), parse_settings(settings), Credentials(ca, token_file))
    raise typer.Exit(code)
