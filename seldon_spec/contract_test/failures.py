"""The failures of a contract test, each with the smallest request that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from seldon_spec.contract_test.case import Case
from seldon_spec.contract_test.checks import Problem
from seldon_spec.contract_test.contract import Contract
from seldon_spec.contract_test.curl import CurlWriter
from seldon_spec.contract_test.encoder import Encoder
from seldon_spec.contract_test.report import Failure, Group, Report
from seldon_spec.contract_test.shrink import shrink

Find = Callable[[Case], Problem | None]
"""Sends a case again; returns the problem of the same check, if there still is one."""


class Failures:
    """Adds failures to a report.

    Args:
        report: to add to.
        curl: writes requests.
        contract: of the model.
    """

    def __init__(self, report: Report, curl: CurlWriter, contract: Contract) -> None:
        self._report = report
        self._curl = curl
        self._contract = contract
        self._found: dict[tuple[str, str], Failure] = {}
        self._smallest: list[tuple[Failure, Case, Encoder, Find]] = []

    def add(
        self,
        problem: Problem,
        group: Group,
        label: str,
        case: Case | None = None,
        encoder: Encoder | None = None,
        find: Find | None = None,
        curl: str = "",
        *,
        is_warning: bool = False,
    ) -> None:
        """Add a failure to the report, once for each check and subject."""
        known = self._found.get(problem.key)
        if known is not None:
            known.count += 1
            if group.name not in known.groups:
                known.groups.append(group.name)
            return
        failure = Failure(problem, label, curl, [group.name])
        self._found[problem.key] = failure
        (self._report.warnings if is_warning else self._report.failures).append(failure)
        if case is not None and encoder is not None and find is not None:
            failure.curl = self._curl.write(case, encoder)
            self._smallest.append((failure, case, encoder, find))

    def shrink(self, is_over: Callable[[], bool]) -> None:
        """Replace the request of each failure by the smallest one that fails, until the budget is used up."""
        for failure, case, encoder, find in self._smallest:
            problems = [failure.problem]

            def fails(smaller: Case, find: Find = find, problems: list[Problem] = problems) -> bool:
                problem = None if is_over() else find(smaller)
                if problem is not None:
                    problems[0] = problem
                return problem is not None

            smallest = shrink(case, fails, self._contract)
            failure.problem = replace(problems[0], trace=problems[0].trace or failure.problem.trace)
            failure.curl = self._curl.write(smallest, encoder)
