"""Responses whose numbers are copied as text, and those that are not."""

from __future__ import annotations

import pytest

from seldon_spec.batch.number_text import read_response

RESPONSES = [
    pytest.param(b'{"data":{"names":["a","b"],"ndarray":[[1,2.5],[-3,4e9]]}}', [b"1,2.5", b"-3,4e9"], 2, id="rows"),
    pytest.param(b'{"meta":{},"data":{"ndarray":[[1],[2]]}}', [b"1", b"2"], 1, id="rows of one number"),
    pytest.param(b'{"data":{"ndarray":[1,2]},"meta":{"tags":{"x":[[1]]}}}', [b"1", b"2"], None, id="numbers"),
]


@pytest.mark.parametrize(("body", "texts", "width"), RESPONSES)
def test_numbers_are_copied(body: bytes, texts: list[bytes], width: int | None) -> None:
    found = read_response(body, 2)
    assert found is not None
    assert found.to_texts() == texts
    assert found.width == width


OTHERS = [
    pytest.param(b'{"data":{"ndarray":[["yes"],["yes"]]}}', id="the same text in each row"),
    pytest.param(b'{"data":{"ndarray":[["yes","no"],["yes","no"]]}}', id="the same texts in each row"),
    pytest.param(b'{"data":{"ndarray":[[NaN,Infinity],[NaN,Infinity]]}}', id="no number in each row"),
    pytest.param(b'{"data":{"ndarray":[[true],[true]]}}', id="truth values"),
    pytest.param(b'{"data":{"ndarray":[[[1]],[[1]]]}}', id="three dimensions"),
    pytest.param(b'{"data":{"ndarray":[[1,2],[3]]}}', id="rows of different lengths"),
    pytest.param(b'{"data":{"ndarray":[[],[]]}}', id="empty rows"),
    pytest.param(b'{"data":{"ndarray":[[1],[]]}}', id="an empty row"),
    pytest.param(b'{"data":{"ndarray":[[1,2]]}}', id="too few rows"),
    pytest.param(b'{"data":{"ndarray":["yes","yes"]}}', id="text"),
    pytest.param(b'{"data":{"tensor":{"shape":[2,1],"values":[1,2]}}}', id="another form"),
]


@pytest.mark.parametrize("body", OTHERS)
def test_anything_else_is_decoded(body: bytes) -> None:
    assert read_response(body, 2) is None
