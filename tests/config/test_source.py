"""YAML to nodes: places, bounds, and no text that breaks the reader."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from seldon_spec.config.yaml import parser
from seldon_spec.config.yaml.parser import parse_document
from seldon_spec.errors import Position

TEXT = """\
class_name: MyModel   # the class
ports: {http: 8080, grpc: null}
flask:
  TRUSTED_HOSTS:
    - "ä.example"
    - b
server: &s
  workers: 2
copy: *s
name: &n iris
alias: *n
"""

PLACES = [
    (("class_name",), (1, 1, 10), (1, 13, 7)),
    (("ports", "http"), (2, 9, 4), (2, 15, 4)),
    (("ports", "grpc"), (2, 21, 4), (2, 27, 4)),
    (("flask", "TRUSTED_HOSTS", "0"), (5, 7, 11), (5, 7, 11)),
    (("flask", "TRUSTED_HOSTS", "1"), (6, 7, 1), (6, 7, 1)),
    (("server", "workers"), (8, 3, 7), (8, 12, 1)),
    (("copy", "workers"), (8, 3, 7), (8, 12, 1)),
    (("name",), (10, 1, 4), (10, 7, 7)),
    (("alias",), (11, 1, 5), (11, 8, 2)),
]


@pytest.mark.parametrize(("path", "key", "value"), PLACES, ids=lambda part: ".".join(map(str, part)))
def test_keys_and_values_know_their_place(
    path: tuple[str, ...], key: tuple[int, int, int], value: tuple[int, int, int]
) -> None:
    document = parse_document(TEXT.encode(), "f")
    lines = TEXT.splitlines()
    assert document.key_position(path) == Position("f", *key, text=lines[key[0] - 1])
    assert document.value_position(path) == Position("f", *value, text=lines[value[0] - 1])


def test_a_path_that_is_not_there_is_told_at_the_nearest_key() -> None:
    document = parse_document(TEXT.encode(), "f")
    assert document.key_position(("server", "log", "level")).line == 7
    assert document.key_position(("nothing",)) == document.start()


SCALARS = [
    ("5", 5),
    ("-0x1F", -31),
    ("1_000", 1000),
    ("1e3", "1e3"),
    ("1.5e+3", 1500.0),
    ("yes", True),
    ("off", False),
    ("~", None),
    ("null", None),
    ("2024-01-15", "2024-01-15"),
    ('"5"', "5"),
    ("'no'", "no"),
    ("!!str 5", "5"),
    ("!!int '5'", 5),
    ("=", "="),
    ("|\n  two\n  lines\n", "two\nlines\n"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[text for text, _ in SCALARS])
def test_scalars_are_read_as_yaml_1_1_but_dates_stay_text(text: str, value: object) -> None:
    document = parse_document(f"k: {text}".encode(), "f")
    assert document.problems == []
    assert document.root is not None
    assert document.root.to_json() == {"k": value}


BOUNDS = [
    ("bytes", b"k: " + b"x" * parser.MAX_BYTES),
    ("depth", b"[" * 100_000),
    ("depth-closed", b"[" * 1200 + b"]" * 1200),
    ("depth-of-mappings", b"{a: " * 100_000),
    ("depth-of-keys", b"{" * 1200),
    ("depth-of-a-value", b"a: 1\na: 2\nb: " + b"[" * 1200),
    ("depth-of-blocks", b"- " * 1200),
    ("depth-by-indentation", b"\n".join(b" " * i + b"a:" for i in range(1200))),
    ("nodes", b"- 1\n" * (parser.MAX_NODES + 1)),
    ("aliases", b"a: &a [1]\n" + b"".join(b"b%d: &b%d [%s]\n" % (i, i, b"*a, " * 90) for i in range(300))),
]


@pytest.mark.parametrize("loader", [parser._LOADER, yaml.SafeLoader], ids=["libyaml", "python"])
@pytest.mark.parametrize("data", [data for _, data in BOUNDS], ids=[name for name, _ in BOUNDS])
def test_a_passed_limit_is_the_only_diagnostic(data: bytes, loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "_LOADER", loader)
    document = parse_document(data, "f")
    assert [problem.code for problem in document.problems] == ["limit"]
    assert document.root is None


def test_the_nesting_limit_of_libyaml_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As libyaml 0.2.6 reports it, independent of the installed version."""

    def parse(*_args: Any, **_kwargs: Any) -> NoReturn:
        mark = yaml.Mark("f", 2, 0, 2, "", 0)
        raise yaml.scanner.ScannerError("while increasing flow level", mark, "exceeded maximum nesting depth", mark)

    monkeypatch.setattr(yaml, "parse", parse)
    (problem,) = parse_document(b"a: [[[", "f").problems
    assert (problem.code, problem.message) == ("limit", "the values are nested too deeply")
    assert problem.origin.position == Position("f", 1, 3, 1, "a: [[[")


def test_aliases_share_nodes_instead_of_copies() -> None:
    document = parse_document(b"a: &a {b: 1}\nc: *a\n", "f")
    first, second = document.find(("a",)), document.find(("c",))
    assert first is not None
    assert second is not None
    assert first[1] is second[1]


@given(
    st.one_of(
        st.binary(), st.text().map(str.encode), st.text(alphabet="{}[]:-&*!|>'\"%@`, \n\tab01#?~<").map(str.encode)
    )
)
@example(b"*a : 1")
@example(b"<<: *a")
@example(b"&a [*a]")
@example(b"? ? ?")
@example(b"%YAML 9.9\n---\n")
@example(b"a: !<tag:yaml.org,2002:float> x")
@example("\u2028a: 1\n\ta: 2".encode())
def test_any_bytes_give_a_document(data: bytes) -> None:
    """A document or findings, never an exception; every place is within the text."""
    document = parse_document(data, "f")
    assert document.root is not None or document.problems or not data.strip(b"\xef\xbb\xbf") or not _has_content(data)
    for problem in document.problems:
        position = problem.origin.position
        assert position is not None
        assert position.line >= 1
        assert 1 <= position.column <= len(position.text) + 1


def _has_content(data: bytes) -> bool:
    """Whether there is anything but white space, comments, directives and marks of documents."""
    lines = data.decode("utf-8-sig").replace("\x85", "\n").replace("\u2028", "\n").replace("\u2029", "\n").splitlines()
    return any(line.strip() and not line.lstrip().startswith(("#", "%", "---", "...")) for line in lines)
