# ruff: noqa: ARG005 - the signatures of the hooks are given
"""What a model says of itself: completed, overlaid and checked (contract section 8)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.config.model import UnitSpec
from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.component.contract import SeldonNotImplementedError
from seldon_spec.inference.component.metadata import call_init_metadata, complete_metadata

EMPTY = {"name": "", "versions": [""], "platform": "", "inputs": [], "outputs": [], "custom": {}}


def read(own: Any = None, unit: UnitSpec | None = None) -> Any:
    user = type("Model", (), {"init_metadata": lambda self: own})()
    return complete_metadata(call_init_metadata(user), unit or UnitSpec())


def test_nothing_said() -> None:
    assert complete_metadata(call_init_metadata(object()), UnitSpec()) == EMPTY


IMAGES = {"reg:5000/a/b:1.2": ("reg:5000/a/b", "1.2"), "untagged": ("", "untagged"), "a@sha256:f": ("a@sha256", "f")}


@pytest.mark.parametrize(("image", "expected"), IMAGES.items(), ids=IMAGES.keys())
def test_the_image_gives_name_and_version(image: str, expected: tuple[str, str]) -> None:
    metadata = read({}, UnitSpec(image=image))
    assert (metadata["name"], metadata["versions"]) == (expected[0], [expected[1]])


def test_the_operator_s_stand_over_the_class_s() -> None:
    own = {"name": "class", "platform": "class"}
    assert read(own, UnitSpec(metadata={"name": "operator"})) == {**EMPTY, "name": "operator", "platform": "class"}


def test_declared_tensors_override_those_of_the_class_and_the_operator_s_both() -> None:
    user = type("Model", (), {"init_metadata": lambda self: {"inputs": [{}], "outputs": [{}], "platform": "class"}})()
    inputs = [TensorSpec("x", "BF16", (-1, 2), columns=(ColumnSpec("a"), ColumnSpec("b")), description="two numbers")]
    shown = [{"name": "x", "datatype": "BF16", "shape": [-1, 2]}]
    of_class = {**EMPTY, "inputs": shown, "outputs": [{}], "platform": "class"}
    assert complete_metadata(call_init_metadata(user), UnitSpec(), inputs) == of_class
    unit = UnitSpec(metadata={"platform": "operator", "outputs": []})
    assert complete_metadata(call_init_metadata(user), unit, inputs, inputs, "file") == {
        **EMPTY,
        "inputs": shown,
        "platform": "operator",
    }


VALID: dict[str, dict[str, Any]] = {
    "tensor": {"messagetype": "tensor", "schema": {"names": ["a"], "shape": [-1, 2]}},
    "whole-number": {"messagetype": "ndarray", "schema": {"shape": [1.0]}},
    "no-schema": {"messagetype": "tftensor"},
    "json": {"messagetype": "jsonData", "schema": {"anything": [1]}},
    "text": {"messagetype": "strData"},
    "own": {"messagetype": "mine", "schema": {"any": 1}},
    "v2": {"name": "x", "datatype": "FP32", "shape": [1, 4]},
    "empty": {},
}


@pytest.mark.parametrize("message", VALID.values(), ids=VALID.keys())
def test_valid(message: dict[str, Any]) -> None:
    assert read({"inputs": [message], "outputs": [message]})["inputs"] == [message]


INVALID: dict[str, dict[str, Any]] = {
    "unknown-key": {"more": 1},
    "name": {"name": 5},
    "versions": {"versions": "v1"},
    "custom-number": {"custom": {"a": 1}},
    "inputs-tuple": {"inputs": ()},
    "text-with-schema": {"inputs": [{"messagetype": "strData", "schema": {}}]},
    "messagetype-number": {"inputs": [{"messagetype": 5}]},
    "tensor-schema-more": {"inputs": [{"messagetype": "tensor", "schema": {"more": 1}}]},
    "shape-text": {"inputs": [{"messagetype": "tensor", "schema": {"shape": ["a"]}}]},
    "datatype": {"inputs": [{"name": "x", "datatype": "FLOATY"}]},
    "mixed": {"inputs": [{"messagetype": "mine", "datatype": "FP32"}]},
}


@pytest.mark.parametrize("own", INVALID.values(), ids=INVALID.keys())
def test_invalid_metadata_are_logged_and_withheld(own: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert read(own) is None
    assert "the model's metadata are invalid" in caplog.text


def test_what_is_no_dict_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert read(["x"]) == EMPTY
    assert "init_metadata returned list" in caplog.text


def test_exceptions() -> None:
    def raising(error: Exception) -> object:
        def init_metadata(self: object) -> Any:
            raise error

        return type("Model", (), {"init_metadata": init_metadata})()

    assert complete_metadata(call_init_metadata(raising(SeldonNotImplementedError("no"))), UnitSpec()) == EMPTY
    with pytest.raises(ComponentFailed):
        call_init_metadata(raising(ValueError("bad")))
