"""Functions for the tests of a model."""

from __future__ import annotations

from pathlib import Path

from seldon_spec.app import load
from seldon_spec.contract_test.report import render_text
from seldon_spec.contract_test.run import Options
from seldon_spec.contract_test.start import run_in_process


def check_contract(
    path: str | Path = ".",
    *,
    seed: int = 0,
    requests: int = 50,
    budget_seconds: float = 30,
    stateful: bool = False,
) -> None:
    """Send generated requests to a model in this process, as ``seldon-spec test`` does.

    Args:
        path: the folder that contains seldon.yaml, or the file.
        seed: of the random values.
        requests: the number of different valid requests.
        budget_seconds: the time for all requests.
        stateful: whether the same request may have different responses.

    Raises:
        AssertionError: a check failed; the text is the report.
        SpecError: the spec has errors.
        BadContract: the spec declares no inputs, and the folder has no contract.json.
        ComponentFailed: the class cannot be imported or built.
    """
    report = run_in_process(load(path, {}), Options(seed, requests, budget_seconds, stateful))
    if not report.is_ok:
        raise AssertionError(render_text(report))
