"""The costs of a scrape can be measured."""

from __future__ import annotations

import sys

import pytest

from benchmarks.scrape import CASES, HEAD, main

pytestmark = pytest.mark.benchmarks


@pytest.mark.skipif(sys.platform != "linux", reason="processes are read from Linux' /proc")
def test_every_case_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--series", "212", "--rounds", "1", "--scrapes", "1"]) == 0
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:2] for row in rows] == [[case, "212"] for case in CASES]
    assert {len(row) for row in rows} == {len(HEAD)}
