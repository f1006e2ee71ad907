"""The checks of a response to a valid request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from seldon_spec.config.contract import TensorSpec
from seldon_spec.contract_test.case import Case
from seldon_spec.contract_test.contract import VARIABLE, Contract
from seldon_spec.contract_test.domain import Domain, list_domains
from seldon_spec.contract_test.encoder import Encoder
from seldon_spec.contract_test.result import BadResponse, Output, Result, match_declared, show_result
from seldon_spec.contract_test.senders import Outcome
from seldon_spec.inference.datatypes import find_datatype


@dataclass(frozen=True, slots=True)
class Problem:
    """A check that failed.

    Attributes:
        check: the name of the check.
        subject: what it is about, such as the name of an output; the same for the same mistake.
        expected, found: for people.
        trace: the traceback of the user's code.
    """

    check: str
    subject: str
    expected: str
    found: str
    trace: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Equal for problems of the same cause."""
        return self.check, self.subject


def check_status(outcome: Outcome) -> Problem | None:
    """Return a problem if a valid request failed."""
    if outcome.is_ok:
        return None
    found = f"{outcome.status}: {outcome.text}"
    return Problem("status", simplify(outcome.text), "status 200 or OK", found, outcome.trace)


def simplify(text: str) -> str:
    """Return the text of an error without what differs between requests and between protocols."""
    text = text.removeprefix("Exception calling application: ")
    return re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?|'[^']*'", "#", text)[:80]


def check_response(outcome: Outcome, case: Case, contract: Contract, encoder: Encoder) -> tuple[Result, list[Problem]]:
    """Return the outputs of a successful response, and what is wrong with them."""
    try:
        result = encoder.decode(outcome.body, outcome.headers)
    except BadResponse as error:
        return (), [Problem("response", simplify(str(error)), "a response of the protocol", str(error))]
    if not contract.outputs:
        return result, []
    declared = [tensor.name for tensor in contract.outputs]
    is_table = len(result) == 1 and list(result[0].columns) == declared
    if encoder.protocol == "v1" and contract.is_model_file and len(result) == 1 < len(declared) and not is_table:
        return _check_one_of(result[0], case, contract, encoder)
    if encoder.protocol == "v2" and contract.is_exact:
        found = {output.name: output for output in result}
        if set(found) != set(declared):
            problem = Problem(
                "names", "outputs", f"outputs {', '.join(declared)}", f"outputs {', '.join(map(str, found))}"
            )
            return result, [problem]
        ordered: Result | None = tuple(found[name] for name in declared)
    else:
        ordered = match_declared(result, declared)
    if ordered is None:
        expected = ", ".join(f"{tensor.name}{list(tensor.shape)}" for tensor in contract.outputs)
        return result, [Problem("names", "outputs", f"outputs {expected}", show_result(result))]
    by_name = {output.name: output for output in ordered}
    problems = [
        problem
        for tensor in contract.outputs
        for problem in _check_output(by_name[tensor.name], tensor, case, contract, encoder)
    ]
    return result, problems


def _check_one_of(output: Output, case: Case, contract: Contract, encoder: Encoder) -> tuple[Result, list[Problem]]:
    """Return the only output with the name of the declared one that it is, or what differs from the first one."""
    first: list[Problem] = []
    for tensor in contract.outputs:
        problems = [*_check_output(output, tensor, case, contract, encoder)]
        if not problems:
            return (replace(output, name=tensor.name, is_one_of=True),), []
        first = first or problems
    return (output,), first


def _check_output(
    output: Output, tensor: TensorSpec, case: Case, contract: Contract, encoder: Encoder
) -> Iterator[Problem]:
    name = tensor.name
    is_split = encoder.protocol == "v1" and len(output.shape) == 1 and tensor.shape[1:] == (1,)
    shape = (*output.shape, 1) if is_split else output.shape
    if not _fits(shape, tensor.shape):
        yield Problem("shape", name, f"{name}: the shape {list(tensor.shape)}", f"the shape {list(output.shape)}")
        return
    if tensor.shape[:1] == (VARIABLE,) and case.rows is not None and shape[0] != case.rows:
        yield Problem("rows", name, f"{name}: {_count_rows(case.rows)}, as in the request", _count_rows(shape[0]))
    if contract.is_exact:
        yield from _check_type(output, tensor)
        columns = tensor.column_names
        if columns and output.columns and list(output.columns) != columns:
            yield Problem(
                "names",
                f"{name} columns",
                f"{name}: columns {', '.join(columns)}",
                f"columns {', '.join(output.columns)}",
            )
    domains = list_domains(tensor)
    for index, item in enumerate(output.items):
        domain = domains[index % len(domains)]
        problem = _check_item(item, domain)
        if problem is not None:
            yield Problem("range", domain.label, f"{domain.label}: {_describe(domain)}", problem)
            return


def _count_rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"


def _fits(shape: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    return len(shape) == len(declared) and all(
        wanted in (VARIABLE, size) for size, wanted in zip(shape, declared, strict=True)
    )


def _check_type(output: Output, tensor: TensorSpec) -> Iterator[Problem]:
    name, declared = tensor.name, tensor.datatype
    if output.datatype is not None and output.datatype != declared:
        yield Problem("datatype", name, f"{name}: the datatype {declared}", f"the datatype {output.datatype}")
        return
    for item in output.items:
        if not _is_of_type(item, declared):
            yield Problem("datatype", name, f"{name}: values of {declared}", f"{item!r:.80}")
            return


def _is_of_type(item: Any, declared: str) -> bool:
    """Return whether a value can be one of a datatype; Seldon's protocol sends every number as a double."""
    if declared == "BYTES":
        return not isinstance(item, (int, float))
    if item is None:
        return find_datatype(declared).limits is None and declared != "BOOL"
    if declared == "BOOL":
        return item in (0, 1)
    if not isinstance(item, (int, float)):
        return False
    return find_datatype(declared).limits is None or float(item).is_integer()


def _check_item(item: Any, domain: Domain) -> str | None:
    if isinstance(item, bool) and domain.datatype != "BOOL":
        return None
    return domain.find_problem(item)


def _describe(domain: Domain) -> str:
    if domain.choices:
        return f"one of {', '.join(map(repr, domain.choices))}"
    bounds = ((domain.minimum, "at least"), (domain.maximum, "at most"))
    return " and ".join(f"{text} {bound:g}" for bound, text in bounds if bound is not None) or "a value"
