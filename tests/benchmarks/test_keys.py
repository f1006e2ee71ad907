"""The table of what each key of ``server`` does: it is whole, the page has it, and it can be made anew."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.keys import EFFECTS, main, read_observed, render_observed
from benchmarks.report import BEGIN, END, place_in_page
from benchmarks.tables import write_table

pytestmark = pytest.mark.benchmarks

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "schemas" / "seldon.schema.json"
PUBLISHED = ROOT / "benchmarks" / "results" / "keys.json"
PAGE = ROOT / "docs" / "operations.md"
NO_EFFECT = {"host"}
"""Where a server listens is no figure."""

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not on the path")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from Linux' /proc")


def _find_leaves(schema: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, field in schema["properties"].items():
        if "properties" in field:
            yield from _find_leaves(field, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def test_every_key_of_the_server_has_a_row() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]["server"]
    keys = [key for effect in EFFECTS if not effect.flags for key in effect.keys]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(_find_leaves(schema)) - NO_EFFECT


def test_the_published_table_has_every_row() -> None:
    """But for a flag of the command that came later than the table."""
    rows = [tuple(row.keys) for row in read_observed(PUBLISHED.read_text(encoding="utf-8")).rows]
    assert rows == [effect.keys for effect in EFFECTS if effect.keys in rows]
    assert {effect.keys for effect in EFFECTS if not effect.flags} <= set(rows)


def test_the_published_table_shows_the_values_that_are_set() -> None:
    values = {tuple(row.keys): row.value for row in read_observed(PUBLISHED.read_text(encoding="utf-8")).rows}
    assert values == {effect.keys: effect.show_value() for effect in EFFECTS if effect.keys in values}


def test_the_published_page_is_made_of_the_published_table() -> None:
    text, page = PUBLISHED.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8")
    observed = read_observed(text)
    assert write_table(observed) == text
    assert place_in_page(page, render_observed(observed)) == page, "run python -m benchmarks.keys --from FILE --page"


def _observe(tmp_path: Path, *keys: str) -> dict[str, str]:
    found = tmp_path / "keys.json"
    flags = [word for key in keys for word in ("--key", key)]
    assert main([*flags, "--rounds", "1", "--seconds", "1", "--json", str(found)]) == 0
    return {", ".join(row.keys): row.effect for row in read_observed(found.read_text(encoding="utf-8")).rows}


def test_bounds_are_observed_on_real_servers(tmp_path: Path) -> None:
    effects = _observe(tmp_path, "max_body_bytes", "max_message_bytes", "auth.tokens", "tls.client_ca", "log.level")
    assert effects.pop("log.level").startswith("0 log lines at start and 5 for an exception in the class; by default ")
    assert effects == {
        "max_body_bytes": "a body of 2,000 bytes gets 413",
        "max_message_bytes": "a message of 2,000 bytes gets RESOURCE_EXHAUSTED",
        "auth.tokens": "with the token, 200; without, 401 over REST and UNAUTHENTICATED over gRPC; `/ready` returns 200",
        "tls.client_ca": "a client with a certificate gets 200; one without fails in the TLS handshake",
    }


def test_time_is_observed_on_real_servers(tmp_path: Path) -> None:
    effects = _observe(tmp_path, "request_timeout_seconds", "keep_alive_seconds", "serve --reload")
    assert re.fullmatch(r"a prediction of 1 s gets 504 after \d+\.\d\d s", effects["request_timeout_seconds"])
    assert re.fullmatch(
        r"a client that sends one request gets 200, and the connection is closed after .* s",
        effects["keep_alive_seconds"],
    )
    assert re.fullmatch(r"an edit of the class is served \d+\.\d\d s later", effects["serve --reload"])


@needs_linux
@needs_wrk
def test_speed_is_compared_on_real_servers(tmp_path: Path) -> None:
    effects = _observe(tmp_path, "batching.max_rows", "tls.certificate, tls.key")
    ratio, time = r"× \d+\.\d\d", r"[\d.]+"
    figures = rf"requests/s {ratio}, CPU per request {ratio}, p50 {time} → {time} ms"
    assert re.fullmatch(f".*: {figures}", effects["batching.max_rows"])
    assert re.fullmatch(figures, effects["tls.certificate, tls.key"])


def test_a_page_can_be_made_without_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}{END}", encoding="utf-8")
    assert main(["--from", str(PUBLISHED), "--page", str(page)]) == 0
    assert f"{BEGIN}\n\n{capsys.readouterr().out}{END}" == page.read_text(encoding="utf-8")
