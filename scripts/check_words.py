"""Reject words that are not the field's terms: in the package, the docs, the README and the changelog.

Prints ``file:line: word: use instead`` for each, and exits with 1 if there is one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

CHECKED = (
    "seldon_spec",
    "schemas",
    "docs",
    "examples",
    "mkdocs.yml",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "seldon.yaml.example",
)

EXEMPT = ("schemas/prediction.proto", ".binpb", ".png")
"""Files whose words are the original's, or that are no text."""

WORDS = {
    r"answer(s|ed|ing)?": "response, respond, return, handle",
    r"told|tells?|telling": "report, log, say, return",
    r"whoever|nobody|somebody|anybody": "name the client, the caller or the process",
    r"bears?|bearing|borne": "have, carry, withstand",
    r"heeds?|heeded": "read, apply",
    r"lest|shall|be it": "plain present tense",
    r"stands?|stood": "is, overrides",
    r"minds?|minded": "check",
    r"company": "other requests",
    r"good hands|way out|takes? leave|goes on|go on|of its own accord|let go of|lets go of": "plain words",
    r"dress(es|ed)?|lane|merger|notes? of (a|the) request": "encoding, bridge, batcher, context",
    r"the short way|by way of|whence|wherever|whichever": "plain words",
    r"(a|the|each|every|which|operation|other|these|those|all) verbs?": "operation, command",
    r"(top|ground|upper|lower|each|every) floors?|the house": "layer, package structure",
    r"moment'?s|for ever": "plain words",
}

NAMES = {
    r"\w*(Lane|Journal|Outbox|Merger|Answering|Verb|Unread|Detour|Notes?|NotePlan|Fault|Seat|Renewal)(?![a-z])\w*": "",
    r"_?(take_note|mergeable|join_rows|dress\w*|bury|become|let_go|hear|heed|dismiss|take_seat|patience|greet)": "",
    r"_?tell_\w+|_?told_\w+|\w+_told": "log, report, notify",
}
"""Identifiers of the package that have another name in the field; see the architecture page."""


KEPT = re.compile(r"on_timeout: answer|\"answer\"|answer, replace")
"""A value of ``server.on_timeout``."""


def _files() -> Iterator[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *CHECKED],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and not path.is_symlink() and not name.endswith(EXEMPT):
            yield path


def _pattern(words: dict[str, str], flags: int = 0) -> re.Pattern[str]:
    return re.compile(r"(?<![\w`.-])(" + "|".join(f"(?:{word})" for word in words) + r")(?![\w`-])", flags)


def find(paths: Iterator[Path]) -> Iterator[str]:
    """Yield a line for each rejected word."""
    prose, names = _pattern(WORDS, re.IGNORECASE), _pattern(NAMES)
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = [match.group() for match in prose.finditer(KEPT.sub("", line))]
            if path.suffix == ".py":
                found += [match.group() for match in names.finditer(line)]
            for word in found:
                yield f"{path.relative_to(ROOT)}:{number}: {word}: {line.strip()[:100]}"


def main() -> int:
    """Check the files given as arguments, or all."""
    chosen = [Path(argument).resolve() for argument in sys.argv[1:]]
    files = (path for path in _files() if not chosen or any(path == one or one in path.parents for one in chosen))
    lines = list(find(files))
    print(*lines, sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
