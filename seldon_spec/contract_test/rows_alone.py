"""Compares the result of a request of several rows with the results of its rows, each sent alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from seldon_spec.contract_test.case import Case
from seldon_spec.contract_test.checks import Problem
from seldon_spec.contract_test.contract import VARIABLE, Contract
from seldon_spec.contract_test.result import Output, Result, find_difference, show_result

MAX_CASES = 5
_MAX_ROWS = 5


def can_be_alone(case: Case, contract: Contract) -> bool:
    """Return whether a request has a few rows, and each input and each declared output has one entry for each row."""
    return (
        case.rows is not None
        and 1 < case.rows <= _MAX_ROWS
        and bool(contract.outputs)
        and all(tensor.shape[:1] == (VARIABLE,) for tensor in (*contract.inputs, *contract.outputs))
        and all(values.shape[0] == case.rows for values in case.inputs)
    )


def find_dependence(case: Case, whole: Result, send: Callable[[Case], Result | None]) -> Problem | None:
    """Return a problem if the result of a row depends on the other rows.

    Args:
        case: ``can_be_alone``.
        whole: its result.
        send: returns the result of a case; None: it failed.
    """
    rows = case.rows or 0
    if any(output.shape[:1] != (rows,) for output in whole):
        return None  # another check reports it
    parts = []
    for row in range(rows):
        part = send(case.take_rows([row]))
        if part is None:
            return _make_problem(whole, f"row {row} alone fails")
        parts.append(part)
    joined = _join(parts, whole)
    if joined is None:
        return _make_problem(
            whole, "; ".join(f"row {row} alone: {show_result(part)}" for row, part in enumerate(parts))
        )
    difference = find_difference(whole, joined)
    return None if difference is None else _make_problem(whole, f"{difference} if the row is sent alone")


def _join(parts: Sequence[Result], like: Result) -> Result | None:
    """Return results of one row as one result; None if they do not have the outputs and shapes of another result."""
    joined = []
    for at, output in enumerate(like):
        column: list[Output] = [part[at] for part in parts if len(part) == len(like)]
        if len(column) != len(parts) or any(part.shape != (1, *output.shape[1:]) for part in column):
            return None
        joined.append(
            replace(column[0], shape=output.shape, items=tuple(item for part in column for item in part.items))
        )
    return tuple(joined)


def _make_problem(whole: Result, found: str) -> Problem:
    expected = f"each row has the same result alone as in the request: {show_result(whole)}"
    return Problem("rows alone", "", expected, found)
