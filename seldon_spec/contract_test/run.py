"""Runs a contract test: valid requests, comparisons, invalid requests, and the smallest request of each failure."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from seldon_spec.contract_test.case import Case
from seldon_spec.contract_test.checks import Problem, check_response, check_status
from seldon_spec.contract_test.contract import Contract
from seldon_spec.contract_test.curl import CurlWriter
from seldon_spec.contract_test.encoder import Encoder, Request, Unencodable
from seldon_spec.contract_test.failures import Failures
from seldon_spec.contract_test.generate import generate, make_example
from seldon_spec.contract_test.invalid import violate
from seldon_spec.contract_test.report import Group, Report
from seldon_spec.contract_test.result import Result, find_difference, show_result
from seldon_spec.contract_test.rows_alone import MAX_CASES, can_be_alone, find_dependence
from seldon_spec.contract_test.senders import NO_RESPONSE, Outcome, Sender

Clock = Callable[[], float]

_VALID_SHARE = 0.6
_INVALID_SHARE = 0.85
"""The parts of the budget after which valid and invalid requests end; the rest is for the smallest request."""

EQUAL = "equal results"
NO_STATE = "no state between calls"
ROWS_ALONE = "rows alone"
ALIVE = "the example after invalid requests"


@dataclass(frozen=True, slots=True)
class Options:
    """Limits and choices of a contract test.

    Attributes:
        requests: the number of different valid requests; each is sent over every protocol.
        budget_seconds: the time for all requests.
        is_stateful: whether the same request may have different responses.
        has_independent_rows: whether a row has the same result alone as in a request of several rows.
        notes: for the report.
    """

    seed: int = 0
    requests: int = 50
    budget_seconds: float = 30.0
    is_stateful: bool = False
    has_independent_rows: bool = True
    notes: tuple[str, ...] = ()


class _Stopped(Exception):
    """The budget is used up, or the server does not respond."""


class ContractTest:
    """One test of one model.

    Args:
        contract: of the model.
        encoders: the protocols.
        sender: to the model.
        curl: writes requests for the report.
        options: limits and choices.
        title: what is tested, for the report.
        clock: returns seconds.
    """

    def __init__(
        self,
        contract: Contract,
        encoders: Sequence[Encoder],
        sender: Sender,
        curl: CurlWriter,
        options: Options,
        title: str,
        clock: Clock = time.monotonic,
    ) -> None:
        self._contract = contract
        self._encoders = encoders
        self._sender = sender
        self._curl = curl
        self._options = options
        self._clock = clock
        self._start = clock()
        self._report = Report(title, options.seed)
        self._groups: dict[str, Group] = {}
        self._failures = Failures(self._report, curl, contract)
        self._compares = not options.is_stateful
        self._is_dead = False

    def run(self) -> Report:
        """Send the requests and return the report."""
        report = self._report
        for kind in ("valid", "invalid"):
            for encoder in self._encoders:
                self._group(f"{kind} {encoder.name}")
            if kind == "valid" and self._compares:
                self._group(EQUAL).unit = self._group(NO_STATE).unit = "comparisons"
                if self._options.has_independent_rows:
                    self._group(ROWS_ALONE)
        report.notes += self._options.notes
        if self._contract.lenient_reason:
            report.notes.append(
                f"{self._contract.lenient_reason}: invalid requests need not be rejected, only survived"
            )
        for name, share, phase in (
            ("valid", _VALID_SHARE, self._run_valid),
            ("invalid", _INVALID_SHARE, self._run_invalid),
        ):
            if not self._is_dead and not self._run_phase(phase(), share):
                report.notes.append(
                    "the server does not respond: the other requests were not sent"
                    if self._is_dead
                    else f"the budget of {self._options.budget_seconds:g}s ended before all {name} requests were sent"
                )
        self._failures.shrink(lambda: self._is_dead or self._is_over(1))
        report.groups = list(self._groups.values())
        report.seconds = self._clock() - self._start
        return report

    def _run_phase(self, steps: Iterator[None], share: float) -> bool:
        """Run the steps of a phase until a part of the budget is used; return whether it is complete."""
        try:
            for _ in steps:
                if self._is_over(share):
                    raise _Stopped
        except _Stopped:
            return False
        return True

    def _is_over(self, share: float) -> bool:
        return self._clock() - self._start >= self._options.budget_seconds * share

    def _group(self, name: str) -> Group:
        return self._groups.setdefault(name, Group(name))

    # Valid requests

    def _run_valid(self) -> Iterator[None]:
        rng = random.Random(self._options.seed)  # noqa: S311 - reproducible, not secret
        first: tuple[Case, Encoder, Result] | None = None
        alone = 0
        for case in generate(self._contract, rng, self._options.requests):
            reference: tuple[Encoder, Result] | None = None
            last: tuple[Encoder, Result] | None = None
            for encoder in self._encoders:
                result = self._send_valid(case, encoder)
                yield
                if result is None or self._options.is_stateful:
                    continue
                last = (encoder, result)
                if reference is None:
                    reference = (encoder, result)
                    self._check_repeated(case, encoder, result)
                    first = first or (case, encoder, result)
                elif self._compares:
                    self._compare(case, reference, encoder, result)
            compares_rows = self._compares and self._options.has_independent_rows and alone < MAX_CASES
            if last is not None and compares_rows and can_be_alone(case, self._contract):
                alone += 1
                self._check_rows_alone(case, *last)
                yield
        if first is not None and self._compares:
            self._check_repeated(*first)

    def _send_valid(self, case: Case, encoder: Encoder) -> Result | None:
        """Send a valid request; return its outputs, or None if it fails or cannot be encoded."""
        group = self._group(f"valid {encoder.name}")
        try:
            request = encoder.encode(case)
        except Unencodable:
            group.skipped += 1
            return None
        outcome = self._send(encoder, request, group)
        result, problems = self._check(outcome, case, encoder)
        if problems:
            group.failed += 1
        for problem in problems:
            find = partial(self._find_again, problem.key, encoder)
            self._failures.add(problem, group, "a valid request", case, encoder, find)
        if outcome.status == NO_RESPONSE:
            self._is_dead = True
            raise _Stopped
        return result

    def _check(self, outcome: Outcome, case: Case, encoder: Encoder) -> tuple[Result | None, list[Problem]]:
        failed = check_status(outcome)
        if failed is not None:
            return None, [failed]
        result, problems = check_response(outcome, case, self._contract, encoder)
        return result or None, problems

    def _find_again(self, key: tuple[str, str], encoder: Encoder, case: Case) -> Problem | None:
        """Send a case again; return its problem with the same key."""
        outcome = self._send_again(case, encoder)
        problems = [] if outcome is None else self._check(outcome, case, encoder)[1]
        return next((problem for problem in problems if problem.key == key), None)

    def _send_again(self, case: Case, encoder: Encoder) -> Outcome | None:
        try:
            return self._sender.send(encoder, encoder.encode(case))
        except Unencodable:
            return None

    def _read_again(self, case: Case, encoder: Encoder) -> Result | None:
        outcome = self._send_again(case, encoder)
        return None if outcome is None else self._check(outcome, case, encoder)[0]

    def _check_repeated(self, case: Case, encoder: Encoder, result: Result) -> None:
        """Send a request again; its result is the same if the class keeps no state between calls."""
        group = self._group(NO_STATE)
        outcome = self._send(encoder, encoder.encode(case))
        group.count += 1
        again = self._check(outcome, case, encoder)[0]
        problem = _find_state(result, again, f"{outcome.status}: {outcome.text}")
        if problem is None:
            return
        group.failed += 1
        self._compares = False  # the results of two calls differ anyway

        def find(smaller: Case) -> Problem | None:
            before = self._read_again(smaller, encoder)
            return None if before is None else _find_state(before, self._read_again(smaller, encoder), "an error")

        self._failures.add(problem, group, "the same request twice", case, encoder, find)

    def _compare(self, case: Case, reference: tuple[Encoder, Result], encoder: Encoder, result: Result) -> None:
        group = self._group(EQUAL)
        group.count += 1
        base, expected = reference
        problem = _find_unequal(base, expected, encoder, result)
        if problem is None:
            return
        group.failed += 1

        def find(smaller: Case) -> Problem | None:
            one, other = self._read_again(smaller, base), self._read_again(smaller, encoder)
            return None if one is None or other is None else _find_unequal(base, one, encoder, other)

        self._failures.add(problem, group, f"{base.name} and {encoder.name}", case, encoder, find)

    def _check_rows_alone(self, case: Case, encoder: Encoder, result: Result) -> None:
        """Send each row of a request alone; the results are the rows of the result of the request."""
        group = self._group(ROWS_ALONE)

        def send(row: Case) -> Result | None:
            return self._check(self._send(encoder, encoder.encode(row), group), row, encoder)[0]

        problem = find_dependence(case, result, send)
        if problem is None:
            return
        group.failed += 1

        def find(smaller: Case) -> Problem | None:
            whole = self._read_again(smaller, encoder) if can_be_alone(smaller, self._contract) else None
            send_again = partial(self._read_again, encoder=encoder)
            return None if whole is None else find_dependence(smaller, whole, send_again)

        self._failures.add(problem, group, "a request of several rows", case, encoder, find)

    # Invalid requests

    def _run_invalid(self) -> Iterator[None]:
        example = make_example(self._contract)
        for encoder in self._encoders:
            for label, request in encoder.list_malformed(example):
                curl = ""
                if not encoder.is_grpc and request.json_size is None:
                    curl = self._curl.write_body(request.body, is_v2=encoder.protocol == "v2")
                self._send_invalid(encoder, request, label, curl, is_lenient=False)
                yield
        self._check_alive(example)
        rng = random.Random(self._options.seed)  # noqa: S311 - reproducible, not secret
        for violation in violate(self._contract, rng):
            for encoder in self._encoders:
                if encoder.protocol not in violation.protocols:
                    continue
                try:
                    request = encoder.encode(violation.case)
                except Unencodable:
                    self._group(f"invalid {encoder.name}").skipped += 1
                    continue
                curl = self._curl.write(violation.case, encoder)
                is_lenient = bool(self._contract.lenient_reason)
                self._send_invalid(encoder, request, violation.label, curl, is_lenient=is_lenient)
                yield
            self._check_alive(example)
            yield

    def _send_invalid(self, encoder: Encoder, request: Request, label: str, curl: str, *, is_lenient: bool) -> None:
        group = self._group(f"invalid {encoder.name}")
        outcome = self._send(encoder, request, group)
        if outcome.status == NO_RESPONSE:
            self._is_dead = True
        elif outcome.is_rejected or (is_lenient and outcome.is_ok):
            return
        expected = "INVALID_ARGUMENT" if encoder.is_grpc else "status 400"
        found = f"{outcome.status}: {outcome.text}" if outcome.text else f"status {outcome.status}"
        problem = Problem("rejects", label, expected, found, outcome.trace)
        is_warning = is_lenient and not self._is_dead
        if not is_warning:
            group.failed += 1
        self._failures.add(problem, group, label, curl=curl, is_warning=is_warning)
        if self._is_dead:
            raise _Stopped

    def _check_alive(self, example: Case) -> None:
        """Check that a valid request still succeeds after an invalid one."""
        for encoder in self._encoders:
            try:
                request = encoder.encode(example)
            except Unencodable:
                continue
            if self._group(f"valid {encoder.name}").failed:  # it may have failed before
                return
            group = self._group(ALIVE)
            outcome = self._send(encoder, request, group)
            if not outcome.is_ok:
                group.failed += 1
                expected, found = "the example succeeds after an invalid request", f"{outcome.status}: {outcome.text}"
                problem = Problem("server up", "", expected, found, outcome.trace)
                self._failures.add(problem, group, "a valid request", curl=self._curl.write(example, encoder))
                self._is_dead = True
                raise _Stopped
            return

    # What all requests share

    def _send(self, encoder: Encoder, request: Request, group: Group | None = None) -> Outcome:
        started = self._clock()
        outcome = self._sender.send(encoder, request)
        self._report.requests += 1
        if group is not None:
            group.count += 1
            group.seconds += self._clock() - started
        return outcome


def _find_state(before: Result, after: Result | None, status: str) -> Problem | None:
    if after is None:
        return Problem("no state", "", "the same response again", status)
    difference = find_difference(before, after)
    if difference is None:
        return None
    help_text = "; if this is intended, use --stateful"
    return Problem("no state", "", f"the same result again: {show_result(before)}", difference + help_text)


def _find_unequal(base: Encoder, expected: Result, encoder: Encoder, result: Result) -> Problem | None:
    difference = find_difference(expected, result)
    if difference is None:
        return None
    return Problem(EQUAL, "", f"the result of {base.name} from {encoder.name}", difference)
