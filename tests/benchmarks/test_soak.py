"""The short forms of the tests of endurance; the benchmarks' own arguments make them long."""

from __future__ import annotations

import pytest

from benchmarks import restarts, soak

pytestmark = pytest.mark.benchmarks


def test_nothing_grows_under_a_mixture_of_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code = soak.main(["--requests", "20000", "--warm-up", "5000", "--drift", "10"])
    output = capsys.readouterr().out
    assert code == 0, output
    assert output.startswith("20000 requests")
    assert output.count("process ") == 2  # the supervisor and its worker


def test_drift_and_wrong_responses_are_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "SOURCE", soak.SOURCE.replace('return {"soaked": True}', "self.leak(); return {}"))
    leak = "    leaked = []\n\n    def leak(self):\n        self.leaked.append(bytes(range(256)) * 100)\n"
    monkeypatch.setattr(soak, "SOURCE", soak.SOURCE + leak)
    monkeypatch.setattr(soak, "REST", (*soak.REST, (1, soak.REST[0][1], 418)))
    assert soak.main(["--requests", "4000", "--warm-up", "500", "--drift", "10"]) == 1
    output = capsys.readouterr().out
    assert "REST: 200, not 418" in output
    assert "(+" in output


@pytest.mark.parametrize("mode", ["hang-up", "max-requests"])
def test_nobody_sees_a_restart(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = restarts.main(["--requests", "6000", "--mode", mode, "--every", "0.5", "--max-requests", "1000"])
    output = capsys.readouterr().out
    assert code == 0, output
    assert not output.startswith(f"{mode}: 0 workers")
