"""The command ``test``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from seldon_spec.cli.exit_codes import print_diagnostics
from seldon_spec.client import Credentials
from seldon_spec.config.loader import load
from seldon_spec.config.model import SPEC_FILE, Spec
from seldon_spec.contract_test.report import FORMATS, Report
from seldon_spec.contract_test.run import Options
from seldon_spec.contract_test.start import run_in_process, run_remote
from seldon_spec.errors import FieldPath


def run_test(
    path: Path,
    flags: Mapping[FieldPath, str],
    urls: Sequence[str],
    credentials: Credentials,
    options: Options,
    contract_file: Path | None,
) -> Report:
    """Run a contract test.

    Args:
        path: the folder of seldon.yaml, or the file; of a running server it may be missing.
        flags: of the spec.
        urls: of a running server; empty: the class is tested in this process.
        credentials: for the server.
        options: limits and choices.
        contract_file: a ``contract.json``.
    """
    spec: Spec | None = None
    if not urls or path.is_file() or (path / SPEC_FILE).exists():
        spec = load(path, os.environ, flags)
        print_diagnostics(spec.diagnostics, path, with_summary=False)
    if urls:
        return run_remote(spec, urls, credentials, options, contract_file)
    assert spec is not None
    return run_in_process(spec, options, contract_file)


def render(report: Report, format_name: str) -> str:
    """Return the report in a format."""
    return FORMATS[format_name](report)
