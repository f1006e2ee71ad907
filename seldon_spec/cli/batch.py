"""The command ``batch``: predicts every row of a file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from seldon_spec.batch.declared import NOTHING_DECLARED, DeclaredColumns, read_inputs, read_metadata
from seldon_spec.batch.display import format_seconds, open_display
from seldon_spec.batch.failed_rows import FailedRows
from seldon_spec.batch.formats import Format
from seldon_spec.batch.open_files import open_reader, open_writer
from seldon_spec.batch.progress_file import Checkpoint, ProgressFile
from seldon_spec.batch.rows import Reader
from seldon_spec.batch.runner import Files, Progress, Runner
from seldon_spec.batch.scorer import BatchStopped, list_waits
from seldon_spec.batch.scoring import RequestOptions, Scoring, score_with
from seldon_spec.batch.tuning import MAX_CONCURRENCY
from seldon_spec.calls.client import Client
from seldon_spec.calls.errors import CallFailed, NoConnection
from seldon_spec.calls.protocol_choice import Protocol
from seldon_spec.cli.exit_codes import INTERRUPTED, OK, USER_ERROR, WrongArgument, print_diagnostics, write_stderr
from seldon_spec.client import Credentials
from seldon_spec.config.loader import load
from seldon_spec.config.model import Spec
from seldon_spec.errors import FieldPath, SeldonSpecError, Stopped

_PROTOCOLS: Mapping[str | None, Protocol] = {None: "auto", "v1": "seldon", "v2": "v2"}


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of a run.

    Attributes:
        data: the input.
        output: the rows with their predictions.
        failed: the rows without predictions.
        columns: the names of those that are sent; None: all, or those of the declared inputs.
        has_header: whether a CSV file names its columns; None: unless its first row consists of numbers.
        input_format, output_format: None: by the suffix.
        is_resumed: whether an incomplete output is continued.
        is_overwritten: whether an output that exists is replaced.
        rows: of a request; None: tuned.
        concurrency: requests in flight; None: tuned.
        retries: of a request that the server did not accept.
        timeout: of a request, in seconds.
        protocol: ``v1`` or ``v2``; None: what is served.
        model: the name of a model in the Open Inference Protocol.
        is_on_ray: whether processes of a cluster of Ray predict the rows.
    """

    data: Path
    output: Path
    failed: Path
    columns: Sequence[str] | None
    has_header: bool | None
    input_format: Format | None
    output_format: Format | None
    is_resumed: bool
    is_overwritten: bool
    rows: int | None
    concurrency: int | None
    retries: int
    timeout: float
    protocol: str | None
    model: str | None
    is_on_ray: bool


def run_batch(
    choices: Choices, url: str | None, path: Path, flags: Mapping[FieldPath, str], credentials: Credentials
) -> int:
    """Predict every row of a file; return the exit code.

    Args:
        choices: the options.
        url: of a server; None: the model runs in this process.
        path: of the spec, if there is no URL.
        flags: of the spec.
        credentials: for the server.

    Raises:
        WrongArgument: an option does not fit the files.
        SeldonSpecError: a file cannot be used, or the model cannot be reached.
    """
    progress_file = ProgressFile(choices.output)
    if _is_complete(choices, progress_file):
        write_stderr(f"{choices.output} is complete")
        return USER_ERROR if choices.failed.exists() else OK
    spec = None if url is not None else load(path, os.environ, flags)
    if spec is not None:
        print_diagnostics(spec.diagnostics, with_summary=False)
    try:
        with _quiet_log() if spec is not None else contextlib.nullcontext():
            progress = _score(choices, url, spec, flags, credentials)
    except Stopped:  # while a cluster starts
        return INTERRUPTED
    _print_summary(choices, progress)
    if progress.is_interrupted:
        return INTERRUPTED
    return USER_ERROR if progress.failed else OK


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Log no errors of rows in this process: the file of failed rows has them."""
    logger = logging.getLogger("seldon_spec")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _score(
    choices: Choices, url: str | None, spec: Spec | None, flags: Mapping[FieldPath, str], credentials: Credentials
) -> Progress:
    with contextlib.ExitStack() as stack:
        writer = open_writer(choices.output, choices.output_format)
        _open_reader(choices, NOTHING_DECLARED).close()  # its errors come before the model is loaded
        client = None if choices.is_on_ray else stack.enter_context(_open_client(choices, url, spec, credentials))
        if spec is not None:
            declared = read_inputs(spec.inputs)
        else:
            assert client is not None
            declared = _find_declared(client, choices.retries)
        reader = _open_reader(choices, declared)
        stack.callback(reader.close)
        source = _describe_source(choices, reader)
        progress_file = ProgressFile(choices.output)
        checkpoint = progress_file.load(source) if choices.is_resumed and progress_file.exists() else None
        files = Files(reader, writer, FailedRows(choices.failed), progress_file, source)
        stopping = threading.Event()
        requests = _choose_requests(choices, reader)
        scoring: Scoring
        if client is not None:
            scoring = score_with(client, requests, stopping)
        else:
            assert spec is not None
            from seldon_spec.cli.batch_on_ray import open_scoring_on_ray

            scoring = stack.enter_context(open_scoring_on_ray(spec, flags, requests))
        with open_display(sys.stderr) as display:
            return _run(Runner(files, scoring, stopping, display), checkpoint)


def _choose_requests(choices: Choices, reader: Reader) -> RequestOptions:
    return RequestOptions(
        list(reader.columns),
        _PROTOCOLS[choices.protocol],
        choices.timeout,
        choices.retries,
        choices.rows,
        choices.concurrency,
        reader.max_rows,
    )


def _run(runner: Runner, checkpoint: Checkpoint | None) -> Progress:
    try:
        return runner.run(checkpoint)
    except BatchStopped as error:
        raise SeldonSpecError(f"{error}\n     = help: --resume continues where it stopped") from error


def _is_complete(choices: Choices, progress_file: ProgressFile) -> bool:
    """Return whether there is nothing to resume.

    Raises:
        WrongArgument: the output exists, and is neither to be continued nor to be replaced.
    """
    if choices.failed.resolve() in (choices.output.resolve(), progress_file.path.resolve()):
        raise WrongArgument("--failed is the file of --output or of its progress", "choose another file")
    for option, file in (("--output", choices.output), ("--failed", choices.failed)):
        if file.resolve() == choices.data.resolve():
            raise WrongArgument(f"{option} is DATA itself", "choose another file")
        if choices.data.is_dir() and file.resolve().is_relative_to(choices.data.resolve()):
            raise WrongArgument(f"{option} is in the folder of DATA, whose files are the rows", "choose another folder")
    if choices.output.is_dir():
        raise WrongArgument(f"{choices.output} is a folder", "give the name of a file")
    if choices.is_resumed:
        return choices.output.exists() and not progress_file.exists()
    for file in (choices.output, progress_file.path, choices.failed):
        if file.exists() and not choices.is_overwritten:
            resuming = "--resume continues it, " if progress_file.exists() else ""
            raise WrongArgument(f"{file} exists", f"{resuming}--overwrite replaces it")
    return False


def _find_declared(client: Client, retries: int) -> DeclaredColumns:
    """Return what a server declares of its inputs, after waiting for the server.

    Raises:
        NoConnection: it cannot be reached.
    """
    for wait in (*list_waits(retries), None):
        try:
            return read_metadata(client.metadata())
        except CallFailed as error:  # noqa: PERF203 - far cheaper than the call
            if not isinstance(error, NoConnection) and error.http_status != HTTPStatus.SERVICE_UNAVAILABLE:
                return NOTHING_DECLARED
            if wait is None:
                raise
            time.sleep(wait)
        except ValueError:  # a server with several models, of which none is chosen: the first request says so
            break
    return NOTHING_DECLARED


def _open_reader(choices: Choices, declared: DeclaredColumns) -> Reader:
    """Return the reader of the input; it sends the columns that the model declares if the input has them all."""
    options: dict[str, Any] = {"has_header": choices.has_header, "declared": declared}
    data = choices.data.absolute() if choices.is_on_ray else choices.data  # processes on nodes read files of a folder
    reader = open_reader(data, choices.input_format, columns=choices.columns, **options)
    names = list(reader.columns)
    if choices.columns or not declared.names or names == list(declared.names) or not set(declared.names) <= set(names):
        if names and declared.count not in (None, len(names)):
            sent = f"{len(names)} columns are sent, but the model declares {declared.count}"
            write_stderr(f"warning: {sent}; --columns NAME,… selects them")
        return reader
    reader.close()
    kept = [name for name in names if name not in declared.names]
    if kept:
        write_stderr(f"not sent, because the model does not declare them: {', '.join(kept)}")
    return open_reader(data, choices.input_format, columns=declared.names, **options)


def _describe_source(choices: Choices, reader: Reader) -> dict[str, Any]:
    """Return what must be the same for a run to be continued."""
    status = choices.data.stat()
    return {
        "DATA": str(choices.data.resolve()),
        "the size of DATA": reader.size,
        "the time of DATA": status.st_mtime_ns,
        "--columns": list(reader.columns),
        "--failed": str(choices.failed.resolve()),
        "--output-format": None if choices.output_format is None else choices.output_format.value,
    }


@contextmanager
def _open_client(choices: Choices, url: str | None, spec: Spec | None, credentials: Credentials) -> Iterator[Client]:
    protocol = _PROTOCOLS[choices.protocol]
    if spec is not None:
        client = Client(spec, protocol=protocol, timeout=choices.timeout)
    else:
        assert url is not None
        client = Client(
            url,
            protocol=protocol,
            model=choices.model,
            timeout=choices.timeout,
            ca=credentials.ca,
            headers=credentials.headers(),
            max_connections=choices.concurrency or MAX_CONCURRENCY,
        )
    with client:
        yield client


def _print_summary(choices: Choices, progress: Progress) -> None:
    done = progress.rows - progress.earlier_rows
    state = "interrupted after" if progress.is_interrupted else "wrote"
    rate = f"{done:,} in {format_seconds(progress.seconds)}, {progress.rate:,.0f} a second"
    size = f"{progress.rows_per_request} rows a request, {progress.concurrency} at once"
    write_stderr(f"{state} {progress.rows:,} rows to {choices.output} ({rate}; {size})")
    if progress.failed:
        have = "row has" if progress.failed == 1 else "rows have"
        write_stderr(f"{progress.failed:,} {have} no prediction: {choices.failed}")
        for number, reason in progress.reasons:
            write_stderr(f"  row {number}: {reason}")
    if progress.is_interrupted:
        write_stderr("--resume continues it")
