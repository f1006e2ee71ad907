"""Completion in bash, zsh and fish: operations, options, values and the keys of ``--set``."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LINES = [
    ("operation", "seldon-spec val", {"validate"}),
    ("option", "seldon-spec validate --str", {"--strict"}),
    ("format", "seldon-spec validate --format s", {"sarif"}),
    ("key", "seldon-spec serve --set server.work", {"server.workers="}),
    ("section", "seldon-spec serve --set ports.", {"ports.http=", "ports.grpc=", "ports.metrics="}),
    ("code", "seldon-spec explain port", {"port-clash"}),
    ("part", "seldon-spec show --only image.req", {"image.requirements"}),
    (
        "mapping",
        "seldon-spec show --only server.sh",
        {f"server.shutdown{key}" for key in ("", ".grace_seconds", ".delay_seconds")},
    ),
]


def _complete(shell: str, line: str) -> set[str]:
    """Return the completions at the end of a line."""
    words = line.split(" ")
    variables = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [sys.executable, "-m", "seldon_spec"],
        env={**os.environ, **variables, "_SELDON_SPEC_COMPLETE": f"complete_{shell}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    written = done.stdout.replace("_arguments '*: :((", "").replace("))'", "").replace("\\:", "")
    found = set()
    for part in written.splitlines():
        word = part.split("\t")[0].split('":"')[0].strip().strip('"')
        if word:
            found.add(word)
    return found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(("line", "words"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_the_shell_is_offered_what_fits(shell: str, line: str, words: set[str]) -> None:
    assert _complete(shell, line) == words


def test_a_script_can_be_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seldon_spec"],
        env={**os.environ, "_SELDON_SPEC_COMPLETE": "source_bash"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "complete -o default -F _seldon_spec_completion seldon-spec" in done.stdout
