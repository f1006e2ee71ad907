"""Sends every line of a file to a deployment, by the engine of ``seldon-spec batch``."""

from __future__ import annotations

import contextlib
import ssl
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seldon_spec.batch.display import format_seconds, open_display
from seldon_spec.batch.predictions import PREDICTION
from seldon_spec.batch.processor.form import DataType, Form, Method
from seldon_spec.batch.processor.lines import NumberedLinesReader
from seldon_spec.batch.processor.model import Deployment
from seldon_spec.batch.processor.output import FailureLines, ResponseWriter
from seldon_spec.batch.progress_file import Checkpoint, ProgressFile
from seldon_spec.batch.runner import Display, Files, Progress, Runner
from seldon_spec.batch.scorer import Scorer
from seldon_spec.batch.scoring import ThreadScoring
from seldon_spec.batch.tuning import Tuner
from seldon_spec.calls.gateway import gateway_metadata, gateway_path
from seldon_spec.calls.open_target import Connection, open_server
from seldon_spec.calls.rest_target import RestTarget
from seldon_spec.calls.target import Target
from seldon_spec.cli.exit_codes import INTERRUPTED, OK, WrongArgument, write_stderr
from seldon_spec.client import parse_url
from seldon_spec.errors import SeldonSpecError

_TOKEN = "x-auth-token"  # noqa: S105 - the name of a header
_ID = "--batch-id"


@dataclass(frozen=True, slots=True)
class Choices:
    """The value of each option; see ``cli.batch_processor.OPTIONS``."""

    deployment_name: str
    gateway_type: str
    namespace: str
    host: str
    transport: str
    data_type: str
    payload_type: str
    workers: int
    retries: int
    input_data_path: Path
    output_data_path: Path
    method: str
    log_level: str
    benchmark: bool
    batch_id: str | None
    batch_size: int
    batch_interval: float
    use_ssl: bool
    call_credentials_token: str | None = field(repr=False)
    ssl_verify: bool
    resume: bool

    @property
    def shows_progress(self) -> bool:
        """Whether more than failures is printed."""
        return self.log_level in ("debug", "info")

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.use_ssl or bool(self.call_credentials_token)


class _NoDisplay:
    def update(self, progress: Progress) -> None:
        pass


def process_file(choices: Choices) -> int:
    """Send every line of a file; return the exit code.

    Raises:
        WrongArgument: the files are the same.
        SeldonSpecError: a file cannot be used, or the deployment cannot be reached.
    """
    output = choices.output_data_path
    if output.resolve() == choices.input_data_path.resolve():
        raise WrongArgument("--output-data-path is the input itself", "choose another file")
    progress_file = ProgressFile(output)
    if choices.resume and output.exists() and not progress_file.exists():
        write_stderr(f"{output} is complete")
        return OK
    for text in _list_ineffective(choices):
        write_stderr(f"warning: {text}")
    with contextlib.ExitStack() as stack:
        reader = NumberedLinesReader(choices.input_data_path)
        stack.callback(reader.close)
        source = _describe_source(choices, reader)
        checkpoint = progress_file.load(source) if choices.resume and progress_file.exists() else None
        if checkpoint is not None:
            reader.number_from(checkpoint.rows)
        batch_id = _find_batch_id(choices, checkpoint)
        form = Form(DataType(choices.data_type), Method(choices.method), choices.payload_type, batch_id)
        writer = ResponseWriter(output)
        failures = FailureLines(writer, form)
        files = Files(reader, writer, failures, progress_file, {**source, _ID: batch_id}, predicted=[PREDICTION])
        target = open_target(choices)
        stack.callback(target.close)
        stopping = threading.Event()
        model = Deployment(target, form, choices.batch_interval, stopping)
        rows = 1 if form.method is Method.FEEDBACK else choices.batch_size
        tuner = Tuner(rows, choices.workers, reader.max_rows, time.monotonic())
        scorer = Scorer(model, choices.retries - 1, stopping)
        with _open_display(choices) as display:
            progress = _run(Runner(files, ThreadScoring(scorer, tuner), stopping, display), checkpoint)
    _print_summary(choices, progress)
    return INTERRUPTED if progress.is_interrupted else OK


def open_target(choices: Choices) -> Target:
    """Return the deployment, or the gateway in front of it; it connects on first use.

    Raises:
        NoResponse: the host is not one.
        ValueError: the token cannot be sent.
    """
    is_grpc = choices.transport == "grpc"
    scheme = ("grpc" if is_grpc else "http") + ("s" if choices.uses_tls else "")
    place = (choices.namespace, choices.deployment_name)
    has_gateway = choices.gateway_type != "seldon"
    url = parse_url(f"{scheme}://{choices.host}{gateway_path(*place) if has_gateway and not is_grpc else ''}")
    headers = gateway_metadata(*place) if has_gateway and is_grpc else {}
    if choices.call_credentials_token:
        headers[_TOKEN] = choices.call_credentials_token
    connection = Connection(headers=headers, max_connections=choices.workers)
    try:
        if choices.uses_tls and not is_grpc and not choices.ssl_verify:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return RestTarget(url, context, connection.list_headers(), choices.workers)
        return open_server(url, connection)
    except ValueError as error:
        raise SeldonSpecError(str(error)) from None


def _run(runner: Runner, checkpoint: Checkpoint | None) -> Progress:
    try:
        return runner.run(checkpoint)
    except SeldonSpecError as error:
        raise SeldonSpecError(f"{error}\n     = help: --resume continues where it stopped") from error


def _list_ineffective(choices: Choices) -> Iterator[str]:
    """Yield a sentence for each option whose value has no effect."""
    if choices.log_level == "debug":
        yield "--log-level debug prints what info does: requests are not logged"
    if not choices.ssl_verify and not choices.uses_tls:
        yield "--ssl-verify false has no effect without --use-ssl"
    elif not choices.ssl_verify and choices.transport == "grpc":
        yield "--ssl-verify false has no effect for gRPC: the certificate is verified"
    if choices.method == "feedback" and choices.batch_size > 1:
        yield "--batch-size has no effect for feedback: each line is sent"


def _find_batch_id(choices: Choices, checkpoint: Checkpoint | None) -> str:
    if choices.batch_id is not None:
        return choices.batch_id
    return str(uuid.uuid4()) if checkpoint is None else str(checkpoint.source[_ID])


def _describe_source(choices: Choices, reader: NumberedLinesReader) -> dict[str, Any]:
    """Return what must be the same for a run to be continued."""
    given = {} if choices.batch_id is None else {_ID: choices.batch_id}
    return {
        "--input-data-path": str(choices.input_data_path.resolve()),
        "the size of the input": reader.size,
        "the time of the input": choices.input_data_path.stat().st_mtime_ns,
        "--data-type": choices.data_type,
        "--method": choices.method,
        **given,
    }


@contextmanager
def _open_display(choices: Choices) -> Iterator[Display]:
    if not choices.shows_progress:
        yield _NoDisplay()
        return
    with open_display(sys.stderr) as display:
        yield display


def _print_summary(choices: Choices, progress: Progress) -> None:
    done = progress.rows - progress.earlier_rows
    state = "interrupted after" if progress.is_interrupted else "wrote"
    elapsed = format_seconds(progress.seconds)
    if choices.shows_progress or progress.is_interrupted:
        rate = f"{done:,} in {elapsed}, {progress.rate:,.0f} a second"
        write_stderr(f"{state} {progress.rows:,} lines to {choices.output_data_path} ({rate})")
    if choices.benchmark:
        write_stderr(f"elapsed time: {progress.seconds:.3f} s")
    if progress.failed:
        write_stderr(f'{progress.failed:,} of {progress.rows:,} lines failed: their status is "FAILURE"')
        for number, reason in progress.reasons:
            write_stderr(f"  line {number}: {reason}")
    if progress.is_interrupted:
        write_stderr("--resume continues it")
