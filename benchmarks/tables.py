"""A table of figures: its JSON, and the command that measures, reads, prints and publishes it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.machine import Machine
from benchmarks.report import publish

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Table = TypeVar("Table", bound="DataclassInstance")


def write_table(table: DataclassInstance) -> str:
    """As JSON, the same for the same table."""
    return json.dumps(asdict(table), indent=1, ensure_ascii=False) + "\n"


def read_table(text: str, table: Callable[..., Table], row: Callable[..., Any]) -> Table:
    """From JSON.

    Args:
        text: the JSON.
        table: the class of the table; it has a ``machine`` and ``rows``.
        row: the class of its rows.

    Raises:
        ValueError, KeyError, TypeError: it is not what ``write_table`` writes.
    """
    tree = json.loads(text)
    rows = [row(**each) for each in tree["rows"]]
    return table(**{**tree, "machine": Machine(**tree["machine"]), "rows": rows})


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``run``."""
    add = parser.add_argument
    add("--json", type=Path, metavar="FILE", help="write the table there")
    add("--page", type=Path, metavar="FILE", help="rewrite the part between the marks of this page")
    add("--from", type=Path, metavar="FILE", dest="source", help="measure nothing: the table is this file's")


def run(
    given: argparse.Namespace,
    measure: Callable[[], Table],
    read: Callable[[str], Table],
    render: Callable[[Table], str],
    topic: str = "results",
) -> int:
    """Measure a table or read it, publish it, and return the exit code 0."""
    table = measure() if given.source is None else read(given.source.read_text(encoding="utf-8"))
    publish(write_table(table), render(table), given.json, given.page, topic)
    return 0
