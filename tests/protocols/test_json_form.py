"""Messages as protobuf's JSON and back: the form of ``json_format``, and numbers that are not finite."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf import json_format

from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage
from seldon_spec.protocols.seldon_v1.proto.json_form import ERRORS, message_to_tree, tree_to_message

NAN, INFINITY = math.nan, math.inf

TREES: dict[str, dict[str, Any]] = {
    "ndarray": {"data": {"names": ["a"], "ndarray": [[1.0, NAN, "x", None], [INFINITY, -INFINITY]]}},
    "tensor": {"data": {"tensor": {"shape": [3], "values": [NAN, INFINITY, -INFINITY]}}},
    "tftensor": {"data": {"tftensor": {"dtype": "DT_FLOAT", "floatVal": [NAN, 1.0]}}},
    "json": {"jsonData": {"a": {"b": [NAN]}, "c": "NaN"}},
    "number-alone": {"jsonData": NAN},
    "tags": {"meta": {"puid": "NaN", "tags": {"a": NAN, "b": [INFINITY], "c": "Infinity"}}, "strData": "NaN"},
    "metric": {"meta": {"metrics": [{"key": "k", "type": "GAUGE", "value": NAN}]}, "binData": "AA=="},
    "finite": {"data": {"ndarray": [1.0, "NaN", True, {"a": None}]}, "meta": {"requestPath": {"a": "b"}}},
}


def text_of(tree: Any) -> str:
    """The tree in a form that compares NaN with itself."""
    return json.dumps(tree, sort_keys=True)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_numbers_that_are_not_finite_go_both_ways(tree: dict[str, Any]) -> None:
    message = tree_to_message(tree, SeldonMessage())
    assert text_of(message_to_tree(message, is_bare=True)) == text_of(tree)
    wire = message.SerializeToString()
    assert SeldonMessage.FromString(wire) == message or b"\xf8\x7f" in wire
    feedback = tree_to_message({"request": tree, "truth": tree}, Feedback())
    assert text_of(message_to_tree(feedback, is_bare=True)) == text_of({"request": tree, "truth": tree})


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_they_are_texts_in_protobufs_own_json(tree: dict[str, Any]) -> None:
    written = message_to_tree(tree_to_message(tree, SeldonMessage()))
    expected = text_of(tree).replace("-Infinity", '"-Infinity"').replace(" NaN", ' "NaN"').replace("[NaN", '["NaN"')
    for before in (" ", "["):
        expected = expected.replace(f"{before}Infinity", f'{before}"Infinity"')
    assert text_of(written) == expected


def test_what_is_finite_has_the_form_of_json_format() -> None:
    tree = {"meta": {"puid": "p", "tags": {"a": 1.5}}, "data": {"tensor": {"shape": [1], "values": [0.1]}}}
    message = json_format.ParseDict(tree, SeldonMessage())
    assert message_to_tree(message) == message_to_tree(message, is_bare=True) == json_format.MessageToDict(message)


@pytest.mark.parametrize("tree", [[1], {"unknown": 1}, {"strData": 1}, {"data": {"ndarray": 5}}, None], ids=str)
def test_what_is_no_message_is_refused(tree: Any) -> None:
    with pytest.raises(ERRORS):
        tree_to_message(tree, SeldonMessage())
