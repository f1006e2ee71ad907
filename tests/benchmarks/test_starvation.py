"""Attacks on a real server: what they send, the figures of a run, and the page that is made of them."""

from __future__ import annotations

import struct
import sys
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.attacks import ATTACKS, Attack, Protocol
from benchmarks.frames import Kind
from benchmarks.report import BEGIN, END, place_in_page
from benchmarks.starvation import TARGETS, main, read_attacked, render_attacked
from benchmarks.tables import write_table

pytestmark = pytest.mark.benchmarks

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "benchmarks" / "results" / "starvation.json"
PAGE = ROOT / "docs" / "robustness.md"

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from Linux' /proc")
HTTP2 = [attack for attack in ATTACKS.values() if attack.protocol is Protocol.HTTP2 and attack.unit]


@pytest.mark.parametrize("attack", HTTP2, ids=[attack.id for attack in HTTP2])
def test_an_http2_attack_is_whole_frames(attack: Attack) -> None:
    """Each of its new streams is used in one unit only, and has a higher ID than those before."""
    sent = b"".join(islice(attack.blocks(), 2))
    opened = []
    while sent:
        length, kind, stream = int.from_bytes(sent[:3], "big"), sent[3], struct.unpack(">I", sent[5:9])[0]
        assert length <= 1 << 14, "servers advertise this frame size"
        if kind == Kind.HEADERS:
            opened.append(stream)
        sent = sent[9 + length :]
    assert opened == sorted(opened)
    assert all(stream % 2 for stream in opened)


@needs_linux
def test_an_attack_on_our_own_server_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, page = tmp_path / "starvation.json", tmp_path / "page.md"
    page.write_text(f"{BEGIN}{END}", encoding="utf-8")
    flags = ["--server", "seldon-spec", "--attack", "ping", "--mode", "burst", "--seconds", "0.5"]
    assert main([*flags, "--json", str(found), "--page", str(page)]) == 0
    attacked = read_attacked(found.read_text(encoding="utf-8"))
    (row,) = attacked.rows
    assert (row.server, row.protocol, row.attack, row.connections) == ("seldon-spec", "HTTP/2", "ping", 1)
    assert row.ended == 1  # a flood of PING is refused
    assert set(row.waits) == {"live", "rest", "grpc"}
    assert all(waits.requests and not waits.failed for waits in row.waits.values())
    assert 0 < row.resident_bytes[0] <= row.resident_bytes[1]
    assert "seldon-spec" in attacked.versions["seldon-spec"]
    tables = capsys.readouterr().out.removesuffix("\n")
    assert "PING (`ping`)" in tables
    assert f"{BEGIN}\n\n{tables}\n{END}" == page.read_text(encoding="utf-8")


def test_a_server_that_is_not_installed_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tmp_path / "starvation.json"
    assert main(["--server", "grpcio", "--envs", str(tmp_path), "--json", str(found)]) == 0
    printed = capsys.readouterr()
    assert "grpcio is skipped: " in printed.err
    assert "| grpcio | not measured |" in printed.out
    assert read_attacked(found.read_text(encoding="utf-8")).rows == []


def test_the_published_page_is_made_of_the_published_results() -> None:
    text, page = PUBLISHED.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8")
    attacked = read_attacked(text)
    assert write_table(attacked) == text
    assert place_in_page(page, render_attacked(attacked)) == page, "run python -m benchmarks.starvation --from --page"


def test_the_published_results_are_of_attacks_and_servers_that_exist() -> None:
    for row in read_attacked(PUBLISHED.read_text(encoding="utf-8")).rows:
        attack = ATTACKS[Protocol(row.protocol), row.attack]
        assert row.mode in {mode.name for mode in attack.modes}
        assert attack.protocol in TARGETS[row.server].ports
