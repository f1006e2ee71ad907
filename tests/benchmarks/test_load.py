"""What wrk and h2load print, as recorded, and the figures in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.figures import Load
from benchmarks.load import LoadFailed, parse_h2load, parse_wrk

pytestmark = pytest.mark.benchmarks

SAMPLES = Path(__file__).parent / "samples"


def _h2load(name: str) -> Load:
    return parse_h2load((SAMPLES / f"{name}.txt").read_text(), (SAMPLES / f"{name}.log").read_text())


def test_wrk_s_figures_are_read() -> None:
    load = parse_wrk((SAMPLES / "wrk.txt").read_text())
    assert load == Load(requests=6737, seconds=1.099968, p50_ms=0.241, p99_ms=4.803, response_bytes=1313715)


def test_h2load_s_figures_are_read() -> None:
    """From the first request's beginning to the last one's end; the quantiles are of the log's durations."""
    load = _h2load("h2load")
    assert load == Load(requests=3, seconds=0.001931, p50_ms=0.349, p99_ms=1.264, response_bytes=165)


def test_an_error_of_grpc_shows_in_the_bytes_alone() -> None:
    load = _h2load("h2load-grpc-error")
    assert (load.requests, load.response_bytes) == (3, 0)


def test_a_failure_seen_by_h2load_is_raised() -> None:
    with pytest.raises(LoadFailed, match="3 failed"):
        _h2load("h2load-failed")


def test_a_failure_seen_by_wrk_is_raised() -> None:
    with pytest.raises(LoadFailed, match=r"Non-2xx or 3xx responses: \d+"):
        parse_wrk((SAMPLES / "wrk-failed.txt").read_text())


@pytest.mark.parametrize("text", ["", "figure requests 0\nfigure failed 0\n"], ids=["silence", "no response"])
def test_a_load_without_a_response_is_a_failure(text: str) -> None:
    with pytest.raises(LoadFailed, match="no response"):
        parse_wrk(text)
    with pytest.raises(LoadFailed, match="no response"):
        parse_h2load(text, "")
