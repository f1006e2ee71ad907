"""Whatever is written reads as what was meant."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.config.schema.lookup import load_schema
from seldon_spec.config.yaml.parser import parse_document
from seldon_spec.config.yaml.scalars import render_scalar
from seldon_spec.errors import FieldPath, Position
from seldon_spec.migrate.candidates import Candidate, LeftOut, Rank
from seldon_spec.migrate.resolve import Choice
from seldon_spec.migrate.write import render_spec, render_value

HERE = Position("Dockerfile", 3, 1)
# What YAML 1.1 cannot hold in any form is no text that a source of ours can have: it comes out of UTF-8.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT)


@given(SCALARS)
def test_a_scalar_reads_as_itself(value: object) -> None:
    text = render_scalar(value)
    assert "\n" not in text
    document = parse_document(f"a: {text}\n".encode(), "x")
    assert document.problems == []
    assert document.root is not None
    read = document.root.to_json()["a"]
    assert read == value
    assert type(read) is type(value)
    assert yaml.safe_load(f"a: {text}") == {"a": value}


@given(st.dictionaries(TEXT, SCALARS, max_size=4), st.lists(TEXT, max_size=4))
def test_collections_read_as_themselves(mapping: dict[str, Any], items: list[str]) -> None:
    document = parse_document(f"a: {render_value([mapping, items])}\n".encode(), "x")
    assert document.root is not None
    assert document.root.to_json() == {"a": [mapping, items]}


def test_not_a_number_is_written_as_yaml_does() -> None:
    assert math.isnan(yaml.safe_load(render_scalar(math.nan)))


@pytest.mark.parametrize(
    "text", ["yes", "NULL", "1e3", "0x1f", "~", "=", "<<", "1_000", "2024-01-01", "a: b", "#a", ""]
)
def test_text_that_looks_like_something_else_is_quoted(text: str) -> None:
    assert render_scalar(text).startswith('"')


def _choice(path: FieldPath, value: Any, *others: Candidate) -> Choice:
    return Choice(Candidate(path, value, HERE, "ENV X", Rank.IMAGE), others)


def test_keys_stand_in_the_order_of_the_schema_and_defaults_are_left_out() -> None:
    values: dict[FieldPath, Any] = {
        ("image", "labels", "b"): "2",
        ("image", "labels", "a"): "1",
        ("ports", "http"): 9000,
        ("server", "log", "level"): "DEBUG",
        ("server", "workers"): 2,
        ("class_name",): "MyModel",
    }
    text = render_spec(Path(), {path: _choice(path, value) for path, value in values.items()}, ["Dockerfile"], [], [])
    tree = yaml.safe_load(text)
    order = list(load_schema()["properties"])
    assert sorted(tree, key=order.index) == list(tree)
    assert tree == {
        "class_name": "MyModel",
        "server": {"workers": 2, "log": {"level": "DEBUG"}},
        "image": {"labels": {"b": "2", "a": "1"}},
    }


def test_a_comment_cannot_become_a_key() -> None:
    label = "ENV X\nclass_name: Evil"
    choice = Choice(Candidate(("class_name",), "MyModel", HERE, label, Rank.IMAGE))
    left = [LeftOut(Position("a\nb: c", 1, 1), "what\n", "why\r\x85")]
    text = render_spec(Path(), {("class_name",): choice}, ["a\nb"], ["c\nd: e"], left)
    assert yaml.safe_load(text) == {"class_name": "MyModel"}
