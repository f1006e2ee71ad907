"""The failure of a replica to start, as text: Ray shows its users only the text of an exception."""

from __future__ import annotations

import re
import traceback
from typing import Any

from seldon_spec.errors import ComponentFailed, SeldonSpecError

_TASK = re.compile(r"^\S*ray::.*$", re.MULTILINE)
"""What Ray writes in place of the first line of a traceback."""

_ERROR = re.compile(r"\b\w+Error\b")
"""The names of exceptions in a message of Serve; those of a process that has exited begin with ``Actor``."""

_HEAD = re.compile(r"ReplicaFailed: (?:component (\S+): )?(.*)")


class ReplicaFailed(Exception):
    """A replica could not be started; the message has the traceback of the user's code."""


def make_failure(error: SeldonSpecError) -> ReplicaFailed:
    """Return what a replica raises in place of an error of its start."""
    component = "" if error.component is None else f"component {error.component}: "
    cause = error.__cause__ if isinstance(error, ComponentFailed) else None
    lines = [f"{component}{error}"]
    if cause is not None:
        lines += traceback.format_exception(cause)
    return ReplicaFailed("\n".join(line.rstrip("\n") for line in lines))


def read_failure(text: str) -> ComponentFailed:
    """Return the error of a replica from the text of what ``make_failure`` has returned."""
    failure = find_failure(f"{ReplicaFailed.__name__}: {text}")
    assert failure is not None
    return failure


def find_failure(message: str) -> ComponentFailed | None:
    """Return the error of a replica in a message of Serve; None if there is none."""
    found = _HEAD.search(message)
    if found is None:
        return None
    failure = ComponentFailed(found[2])
    failure.component = found[1]
    trace = _TASK.sub("Traceback (most recent call last):", message[found.end() :].strip("\n"))
    failure.trace = trace or None
    return failure


def describe_failure(application: Any) -> str:
    """Return why Serve cannot start an application, from its status."""
    problems = []
    for name, deployment in application.deployments.items():
        errors = _ERROR.findall(deployment.message)
        is_failed = deployment.status == "DEPLOY_FAILED"
        if all(error.startswith("Actor") for error in errors) and (errors or is_failed):
            problems.append(f"{name}: the process exited while it loaded the class, or had too little memory")
        elif is_failed:
            problems.append(f"{name}: {deployment.message}")
    return "; ".join(problems) or application.message
