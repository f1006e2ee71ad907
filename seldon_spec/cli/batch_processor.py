"""The command line of Seldon Core's batch processor, so that the command of an existing workflow works unchanged.

Each flag has an environment variable. The parser is argparse, as of ``seldon-core-microservice``.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from seldon_spec.cli.exit_codes import exit_process, open_missing_streams, run_command
from seldon_spec.config.layers.parameters import BOOLEAN_WORDS, read_boolean, read_integer

PROGRAM = "seldon-batch-processor"
_MAX_WORKERS = 256
_MAX_BATCH = 65536


def _boolean(text: str) -> bool:
    value = read_boolean(text)
    if value is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not a boolean ({BOOLEAN_WORDS})')
    return value


def _count(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = read_integer(text)
        if value is None or not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f'"{text}" is not an integer from 1 to {most}')
        return value

    return read


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of seconds')
    return value


def _choice(*words: str) -> Mapping[str, Any]:
    return {"choices": words}


@dataclass(frozen=True, slots=True)
class Option:
    """One flag.

    Attributes:
        flags: its names, the long one first.
        variable: that sets it if the flag is not given.
        help: one line.
        default: None: it has to be given, or has no value.
        parsing: arguments of ``add_argument``.
    """

    flags: tuple[str, ...]
    variable: str
    help: str
    default: Any = None
    parsing: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the value."""
        return self.flags[0].removeprefix("--").replace("-", "_")


_SWITCH: Mapping[str, Any] = {"type": _boolean, "metavar": "B", "nargs": "?", "const": True}
_PATH: Mapping[str, Any] = {"type": Path, "metavar": "FILE"}

OPTIONS = (
    Option(
        ("--deployment-name", "-d"),
        "SELDON_BATCH_DEPLOYMENT_NAME",
        "name of the SeldonDeployment",
        None,
        {"metavar": "NAME"},
    ),
    Option(
        ("--gateway-type", "-g"),
        "SELDON_BATCH_GATEWAY_TYPE",
        "istio and ambassador: requests are for /seldon/NAMESPACE/NAME; seldon: --host is the deployment's own service",
        "istio",
        _choice("ambassador", "istio", "seldon"),
    ),
    Option(("--namespace", "-n"), "SELDON_BATCH_NAMESPACE", "of the SeldonDeployment", "default", {"metavar": "NAME"}),
    Option(
        ("--host", "-h"),
        "SELDON_BATCH_HOST",
        "host and port of the gateway, or of the service",
        "istio-ingressgateway.istio-system.svc.cluster.local:80",
        {"metavar": "HOST:PORT"},
    ),
    Option(("--transport",), "SELDON_BATCH_TRANSPORT", "of the requests", "rest", _choice("rest", "grpc")),
    Option(
        ("--data-type", "-a"),
        "SELDON_BATCH_DATA_TYPE",
        "what a line is: an array (data), jsonData, strData, or a whole message (raw)",
        "data",
        _choice("data", "json", "str", "raw"),
    ),
    Option(
        ("--payload-type", "-p"),
        "SELDON_BATCH_PAYLOAD_TYPE",
        "form of an array",
        "ndarray",
        _choice("ndarray", "tensor", "tftensor"),
    ),
    Option(
        ("--workers", "-w"),
        "SELDON_BATCH_WORKERS",
        "requests at the same time",
        1,
        {"type": _count(_MAX_WORKERS), "metavar": "N"},
    ),
    Option(
        ("--retries", "-r"),
        "SELDON_BATCH_RETRIES",
        "how often a request is sent that the server does not accept, the first time included",
        3,
        {"type": _count(100), "metavar": "N"},
    ),
    Option(("--input-data-path", "-i"), "SELDON_BATCH_INPUT_DATA_PATH", "input", Path("/assets/input-data.txt"), _PATH),
    Option(("--output-data-path", "-o"), "SELDON_BATCH_OUTPUT_DATA_PATH", "output, which is replaced", None, _PATH),
    Option(
        ("--method", "-m"),
        "SELDON_BATCH_METHOD",
        "feedback: lines are raw",
        "predict",
        _choice("predict", "feedback"),
    ),
    Option(
        ("--log-level", "-l"),
        "SELDON_BATCH_LOG_LEVEL",
        "info: the progress and a summary; warning and error: only failures; debug is info",
        "info",
        _choice("debug", "info", "warning", "error"),
    ),
    Option(("--benchmark", "-b"), "SELDON_BATCH_BENCHMARK", "print the elapsed time", default=False, parsing=_SWITCH),
    Option(
        ("--batch-id", "-u"), "SELDON_BATCH_ID", "in the tags of every line (default: random)", None, {"metavar": "ID"}
    ),
    Option(
        ("--batch-size", "-s"),
        "SELDON_BATCH_SIZE",
        "lines of a request",
        1,
        {"type": _count(_MAX_BATCH), "metavar": "N"},
    ),
    Option(
        ("--batch-interval", "-t"),
        "SELDON_BATCH_MIN_INTERVAL",
        "least seconds from the start of a request to the next one of the same worker",
        0.0,
        {"type": _seconds, "metavar": "SECONDS"},
    ),
    Option(("--use-ssl",), "SELDON_BATCH_USE_SSL", "use TLS", default=False, parsing=_SWITCH),
    Option(
        ("--call-credentials-token",),
        "SELDON_BATCH_CALL_CREDENTIALS_TOKEN",
        "sent as X-Auth-Token, with TLS",
        None,
        {"metavar": "TOKEN"},
    ),
    Option(
        ("--ssl-verify",),
        "SELDON_BATCH_SSL_VERIFY",
        "whether the certificate is verified; false has no effect for gRPC",
        default=True,
        parsing=_SWITCH,
    ),
    Option(
        ("--resume",),
        "SELDON_BATCH_RESUME",
        "continue an output that is incomplete; not in the original",
        default=False,
        parsing=_SWITCH,
    ),
)
"""Every flag of the original, and ``--resume``."""


def main() -> NoReturn:
    """Run the console script."""
    open_missing_streams()
    exit_process(run(sys.argv[1:], os.environ))


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Send every line of a file; return the exit code.

    Args:
        arguments: of the command line.
        environ: the variables.
    """
    try:
        values = parse(arguments, environ)
    except SystemExit as error:  # from argparse: 0 after the help, 2 after an error message
        return int(error.code or 0)

    def process() -> int:
        from seldon_spec.cli.batch_processing import Choices, process_file

        return process_file(Choices(**values))

    return run_command(process)


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the value of each option.

    Raises:
        SystemExit: from argparse, after the help or an error message.
    """
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Send every line of a file to a deployment, and write the responses, like Seldon Core's processor.",
        epilog="seldon-spec batch does the same for CSV, JSON Lines, npy and Parquet files.",
        argument_default=argparse.SUPPRESS,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("--help", action="help", help="show this text")
    for option in OPTIONS:
        default = "" if option.default in (None, False) else f"; default: {option.default}"
        text = f"{option.help}; {option.variable}{default}"
        parser.add_argument(*option.flags, help=text, dest=option.name, **option.parsing)
    given = vars(parser.parse_args(list(arguments)))
    values = {option.name: option.default for option in OPTIONS}
    for option in OPTIONS:
        text = environ.get(option.variable, "")
        if text and option.name not in given:
            values[option.name] = _read_variable(parser, option, text)
    values.update(given)
    _check(parser, values)
    return {**values, "batch_id": values["batch_id"] or None}


def _read_variable(parser: argparse.ArgumentParser, option: Option, text: str) -> Any:
    choices = option.parsing.get("choices")
    if choices is not None and text not in choices:
        parser.error(f'{option.variable}: "{text}" is not one of {", ".join(choices)}')
    try:
        return option.parsing.get("type", str)(text)
    except argparse.ArgumentTypeError as error:
        parser.error(f"{option.variable}: {error}")


def _check(parser: argparse.ArgumentParser, values: Mapping[str, Any]) -> None:
    """Report every option that is missing, or does not fit the others.

    Raises:
        SystemExit: after the error message.
    """
    problems = [
        f"{option.flags[0]} or {option.variable} is required"
        for option in OPTIONS
        if option.name in ("deployment_name", "output_data_path") and not values[option.name]
    ]
    if values["method"] == "feedback" and values["data_type"] != "raw":
        problems.append("--method feedback needs --data-type raw")
    elif values["batch_size"] > 1 and values["data_type"] in ("json", "str"):
        problems.append(f"--batch-size {values['batch_size']} needs --data-type data or raw")
    elif values["batch_size"] > 1 and values["data_type"] == "data" and values["payload_type"] == "tftensor":
        problems.append(f"--batch-size {values['batch_size']} needs --payload-type ndarray or tensor")
    if problems:
        parser.error("; ".join(problems))
