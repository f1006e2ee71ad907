"""The report of a contract test as text, JSON or JUnit XML."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from seldon_spec.contract_test.checks import Problem

_SHOWN_CHARACTERS = 2000
"""The length of a request in a text report."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class Group:
    """Requests or comparisons of one kind.

    Attributes:
        unit: what is counted.
        skipped: the requests that the protocol has no form for.
    """

    name: str
    unit: str = "requests"
    count: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Failure:
    """A check that failed, in one or more groups.

    Attributes:
        label: what the request is.
        curl: the smallest request that fails as a command; empty: there is none.
        groups: their names.
        count: the number of requests or comparisons.
    """

    problem: Problem
    label: str
    curl: str = ""
    groups: list[str] = field(default_factory=list)
    count: int = 1


@dataclass(slots=True)
class Report:
    """The result of a contract test.

    Attributes:
        title: what was tested.
        requests: the number of requests that were sent, without those that look for the smallest one.
        warnings: what is not required, but unusual.
        notes: what was not tested, and why.
    """

    title: str
    seed: int
    requests: int = 0
    seconds: float = 0.0
    groups: list[Group] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        """Whether no check failed."""
        return not self.failures


def render_text(report: Report) -> str:
    """Return the report for people."""
    lines = [report.title, *(_group_line(group) for group in report.groups if group.count or group.skipped)]
    lines += [f"note: {note}" for note in report.notes]
    for kind, failures in (("warning", report.warnings), ("failure", report.failures)):
        for failure in failures:
            lines += ["", *_failure_lines(kind, failure)]
    if report.failures or report.warnings:
        lines.append("")
    lines.append(_summarise(report))
    return "\n".join(lines) + "\n"


def _group_line(group: Group) -> str:
    if group.count == 0:
        return f"{group.name}: not sent, the protocol has no form for the values"
    skipped = f" ({group.skipped} not sent, the protocol has no form for their values)" if group.skipped else ""
    result = " OK" if not group.failed else f", {group.failed} failed"
    return f"{group.name}: {group.count} {group.unit}{result}{skipped}"


def _failure_lines(kind: str, failure: Failure) -> list[str]:
    problem = failure.problem
    lines = [
        f"{kind}: {problem.check}: {failure.label}",
        f"  where:    {', '.join(failure.groups)}",
        f"  expected: {problem.expected}",
        f"  found:    {problem.found}",
    ]
    if failure.curl:
        lines.append(f"  request:  {_shorten(failure.curl)}")
    lines += [f"  | {line}" for line in problem.trace.splitlines()]
    return lines


def _shorten(text: str) -> str:
    left_out = len(text) - _SHOWN_CHARACTERS
    if left_out <= 0:
        return text
    half = _SHOWN_CHARACTERS // 2
    return f"{text[:half]} [... {left_out} characters left out; --format json has all ...] {text[-half:]}"


def _summarise(report: Report) -> str:
    return f"{_count(report.requests, 'request')}, {_count(len(report.failures), 'failure')}, seed {report.seed}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def render_json(report: Report) -> str:
    """Return the report as one JSON object."""
    tree = {
        "title": report.title,
        "seed": report.seed,
        "requests": report.requests,
        "seconds": round(report.seconds, 3),
        "ok": report.is_ok,
        "groups": [
            {"name": g.name, "unit": g.unit, "count": g.count, "failed": g.failed, "skipped": g.skipped}
            for g in report.groups
        ],
        "failures": [_to_tree(failure) for failure in report.failures],
        "warnings": [_to_tree(failure) for failure in report.warnings],
        "notes": report.notes,
    }
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def _to_tree(failure: Failure) -> dict[str, object]:
    problem = failure.problem
    return {
        "check": problem.check,
        "label": failure.label,
        "groups": failure.groups,
        "count": failure.count,
        "expected": problem.expected,
        "found": problem.found,
        "curl": failure.curl,
        "traceback": problem.trace,
    }


def render_junit(report: Report) -> str:
    """Return the report as JUnit XML: a test case for each group."""
    groups = [group for group in report.groups if group.count or group.skipped]
    failing = {name for failure in report.failures for name in failure.groups}
    totals = {
        "tests": str(len(groups)),
        "failures": str(sum(group.name in failing for group in groups)),
        "errors": "0",
        "skipped": str(sum(group.count == 0 for group in groups)),
        "time": f"{report.seconds:.3f}",
    }
    suites = ET.Element("testsuites", {"name": "seldon-spec test", **totals})
    suite = ET.SubElement(suites, "testsuite", {"name": _to_xml(report.title), **totals})
    properties = ET.SubElement(suite, "properties")
    for name, value in (("seed", report.seed), ("requests", report.requests)):
        ET.SubElement(properties, "property", {"name": name, "value": str(value)})
    for group in groups:
        attributes = {"classname": "contract", "name": group.name, "time": f"{group.seconds:.3f}"}
        case = ET.SubElement(suite, "testcase", attributes)
        if group.count == 0:
            ET.SubElement(case, "skipped", {"message": "the protocol has no form for the requests"})
        for failure in report.failures:
            if group.name in failure.groups:
                problem = failure.problem
                message = f"{problem.check}: {failure.label}: {problem.found}"
                element = ET.SubElement(case, "failure", {"type": problem.check, "message": _to_xml(message)})
                element.text = _to_xml("\n".join(_failure_lines("failure", failure)))
    ET.SubElement(suite, "system-out").text = _to_xml(render_text(report))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _to_xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


FORMATS: Mapping[str, Callable[[Report], str]] = {"text": render_text, "json": render_json, "junit": render_junit}
"""The formats of a report."""
