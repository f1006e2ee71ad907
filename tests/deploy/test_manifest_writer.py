"""Trees as YAML: parsers of versions 1.1 and 1.2 read the values that were written, whatever the texts are."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.deploy.manifest.tree import Commented, merge, to_plain
from seldon_spec.deploy.manifest.writer import write_documents
from tests.deploy.manifest_specs import HARD_TEXTS

TEXTS = HARD_TEXTS | st.sampled_from(["y", "n", "Y", "No", "TRUE", "a" * 200, "\0", "a\r\nb"]) | st.text(max_size=20)
LEAVES = TEXTS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS, inner, max_size=4)
        | st.builds(Commented, inner, st.text(max_size=90))
    ),
    max_leaves=15,
)
DOCUMENTS = st.lists(st.dictionaries(TEXTS, TREES, min_size=1, max_size=3), min_size=1, max_size=3)

PLAIN = re.compile(r"null|true|false|\.inf|-\.inf|-?[0-9]+|-?[0-9]+\.[0-9]+(e[+-]?[0-9]+)?|[A-Za-z_/][A-Za-z0-9_./-]*")
WORDS = re.compile(r"y|n|yes|no|on|off|true|false|null", re.IGNORECASE)


@given(trees=DOCUMENTS, head=st.lists(st.text(max_size=20), max_size=2), has_comments=st.booleans())
def test_what_is_written_is_what_is_read(trees: list[Any], head: list[str], has_comments: bool) -> None:
    text = write_documents(trees, head, has_comments=has_comments)
    assert repr(list(yaml.safe_load_all(text))) == repr([to_plain(tree) for tree in trees])
    events = list(yaml.parse(text))
    assert not [event for event in events if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)]


@given(trees=DOCUMENTS)
def test_no_plain_scalar_is_ambiguous(trees: list[Any]) -> None:
    """A plain scalar is a keyword of both versions, a decimal number, or a word that no version reads otherwise."""
    for event in yaml.parse(write_documents(trees, [], has_comments=False)):
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.style is None:
            assert PLAIN.fullmatch(event.value)
            assert event.value in ("true", "false", "null") or not WORDS.fullmatch(event.value)


def test_equal_parts_are_written_twice() -> None:
    labels = {"app": "iris"}
    text = write_documents([{"a": labels, "b": [labels, labels]}], [], has_comments=False)
    assert text == "a:\n  app: iris\nb:\n  - app: iris\n  - app: iris\n"


def test_comments_are_on_the_line_or_above_it() -> None:
    tree = {"a": Commented(1, "one"), "b": Commented({"c": Commented("x" * 110, "a long line")}, "two")}
    text = write_documents([tree], ["head"], has_comments=True)
    assert text == f"# head\na: 1  # one\nb:  # two\n  # a long line\n  c: {'x' * 110}\n"
    assert "#" not in write_documents([tree], ["head"], has_comments=False)


MERGED: list[tuple[str, Any, Any, Any]] = [
    ("keys", {"a": 1, "b": {"c": 2}}, {"b": {"d": 3}}, {"a": 1, "b": {"c": 2, "d": 3}}),
    ("null removes", {"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
    ("value", {"a": [1]}, {"a": 2}, {"a": 2}),
    ("named items", [{"name": "x", "v": 1}], [{"name": "y"}, {"name": "x", "w": 2}], [{"name": "x", "v": 1, "w": 2}, {"name": "y"}]),
    ("mounts", [{"name": "t", "mountPath": "/t"}], [{"name": "u", "mountPath": "/u"}], [{"name": "t", "mountPath": "/t"}, {"name": "u", "mountPath": "/u"}]),
    ("other items", [{"key": "a"}], [{"key": "a"}, {"key": "b"}], [{"key": "a"}, {"key": "a"}, {"key": "b"}]),
    ("texts", ["name"], ["name"], ["name", "name"]),
    ("commented", {"a": Commented([{"name": "x"}], "from a")}, {"a": [{"name": "y"}]}, {"a": [{"name": "x"}, {"name": "y"}]}),
    ("null in an item", [{"name": "x", "value": "1"}], [{"name": "x", "value": None, "valueFrom": {}}], [{"name": "x", "valueFrom": {}}]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tree", "overlay", "expected"), [each[1:] for each in MERGED], ids=[each[0] for each in MERGED]
)
def test_merge(tree: Any, overlay: Any, expected: Any) -> None:
    assert to_plain(merge(tree, overlay)) == expected
