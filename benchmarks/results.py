"""What a comparison found, and its JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from benchmarks.figures import Sample, Start
from benchmarks.machine import Machine


class Mode(Enum):
    """What is asked."""

    SPEED = "speed"
    SCALING = "scaling"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Settings:
    """How it was measured.

    Args:
        title: of its section in a report; empty: its mode's.
        heads: the values of ``Heads`` with which each server is measured; empty: the least, and h2load makes the calls.
    """

    mode: Mode
    model: str
    rounds: int
    starts: int
    seconds: int
    connections: int
    streams: int
    serial_requests: int
    title: str = ""
    heads: tuple[str, ...] = ()


@dataclass(slots=True)
class ServerResults:
    """One server with so many workers.

    Args:
        versions: of Python and the packages in its environment.
        samples: of each workload's name, a sample a round.
        request_bytes: of each workload's name, the length of a request's body.
        absence: why it has no figures, or not those of every workload.
    """

    name: str
    workers: int
    note: str
    versions: dict[str, str]
    starts: list[Start] = field(default_factory=list)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    request_bytes: dict[str, int] = field(default_factory=dict)
    absence: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """A whole comparison; ratios are to its first server that started."""

    machine: Machine
    settings: Settings
    servers: list[ServerResults]

    @property
    def base(self) -> ServerResults:
        """The server that ratios are to.

        Raises:
            StopIteration: no server started.
        """
        return next(each for each in self.servers if each.starts)


def write_results(results: Results) -> str:
    """As JSON, the same for the same results."""
    return json.dumps(asdict(results), indent=1, default=_write_mode) + "\n"


def _write_mode(value: object) -> str:
    assert isinstance(value, Mode)
    return value.value


def read_results(text: str) -> Results:
    """From JSON.

    Raises:
        ValueError, KeyError, TypeError: it is not what ``write_results`` writes.
    """
    tree = json.loads(text)
    given = tree["settings"]
    settings = Settings(**{**given, "mode": Mode(given["mode"]), "heads": tuple(given.get("heads", ()))})
    return Results(Machine(**tree["machine"]), settings, [_read_server(each) for each in tree["servers"]])


def _read_server(tree: dict[str, Any]) -> ServerResults:
    starts = [Start(**each) for each in tree["starts"]]
    samples = {name: [Sample(**each) for each in rounds] for name, rounds in tree["samples"].items()}
    return ServerResults(**{**tree, "starts": starts, "samples": samples})
