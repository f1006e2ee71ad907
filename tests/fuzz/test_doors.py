"""What strangers send: an answer or a refusal, and never a fault of ours. ``python -m benchmarks.fuzz`` tries far more."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.doors import DOORS
from benchmarks.fuzz import fuzz_door, make_input

Knock = Callable[[bytes], str]

EXAMPLES = {"json": 300, "protobuf": 300, "forms": 100, "yaml": 40}


@pytest.fixture(scope="module")
def knocks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Knock]:
    return {name: door.open(tmp_path_factory.mktemp(name)) for name, door in DOORS.items()}


SEEDS = [(name, index) for name, door in DOORS.items() for index in range(len(door.seeds))]


@pytest.mark.parametrize(("name", "index"), SEEDS, ids=[f"{name}-{index}" for name, index in SEEDS])
def test_a_sound_input_is_no_fault(knocks: dict[str, Knock], name: str, index: int) -> None:
    assert knocks[name](DOORS[name].seeds[index])


FOUND = {
    "surrogate-in-a-key-of-feedback": ("json", b'\x01{"t\\ud800ruth": {"strData": "x"}, "reward": 1}'),
    "surrogate-in-a-deeper-key": ("json", b'\x01{"truth": {"data": {"tensor": {"shape\\ud800": [1]}}}}'),
    "surrogate-in-a-text-of-feedback": ("json", b'\x01{"truth": {"strData": "\\ud800"}}'),
    "surrogate-in-a-text": ("json", b'\x00{"strData": "\\ud800", "meta": {"tags": {"\\udfff": 1}}}'),
    "part-without-a-name": ("forms", b"\x00--b\r\nContent-Disposition: form-data; x=y\r\n\r\n1\r\n--b--\r\n"),
    "file-without-a-name": (
        "forms",
        b'\x00--b\r\nContent-Disposition: form-data; filename="f"\r\n\r\n1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="meta"\r\n\r\n{}\r\n--b--\r\n',
    ),
    "class-name-too-long-for-a-file": ("yaml", b"class_name: " + b"M" * 4000 + b"\n"),
    "package-too-long-for-a-folder": ("yaml", b"class_name: " + b"m" * 300 + b".MyModel\n"),
    "requirements-too-long-for-a-file": (
        "yaml",
        b"class_name: MyModel\nimage: {requirements: " + b"r" * 300 + b".txt}\n",
    ),
}
"""Inputs before which a door gave way once, and their kin."""


@pytest.mark.parametrize(("name", "data"), FOUND.values(), ids=FOUND.keys())
def test_what_once_was_a_fault_is_none(knocks: dict[str, Knock], name: str, data: bytes) -> None:
    assert knocks[name](data)


@pytest.mark.parametrize("name", DOORS)
def test_any_bytes_are_no_fault(knocks: dict[str, Knock], name: str) -> None:
    @settings(max_examples=EXAMPLES[name], deadline=None)
    @given(st.binary(max_size=300))
    @example(b"")
    def knock(data: bytes) -> None:
        assert knocks[name](data)

    knock()


@pytest.mark.parametrize("name", DOORS)
def test_changed_inputs_are_no_fault(knocks: dict[str, Knock], name: str) -> None:
    door = DOORS[name]

    @settings(max_examples=EXAMPLES[name], deadline=None)
    @given(st.integers(0, 2**32))
    def knock(seed: int) -> None:
        assert knocks[name](make_input(random.Random(seed), door.seeds, door))

    knock()


# Messages that are sound JSON, with anything in any place

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["AA==", "DT_FLOAT", "NaN", "1", "COUNTER"])
)
NAMES = st.sampled_from(
    "data names ndarray tensor shape values tftensor dtype tensorShape dim size floatVal tensorContent strData binData"
    " jsonData meta tags puid routing requestPath metrics key type value request response reward truth status code"
    " seldonMessages".split()
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES, inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 5), st.dictionaries(NAMES, VALUES, max_size=4) | VALUES)
def test_any_json_is_no_fault(knocks: dict[str, Knock], operation: int, value: Any) -> None:
    assert knocks["json"](bytes((operation,)) + json.dumps(value).encode())


# The fuzzer itself


@pytest.fixture
def broken_door(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_door(_folder: Path) -> Knock:
        def knock(data: bytes) -> str:
            if b"!" in data:
                raise KeyError("!")
            return str(len(data))

        return knock

    monkeypatch.setitem(DOORS, "json", type(DOORS["json"])(open_door, (b"seed",), (b"!",), 1))


@pytest.mark.usefixtures("broken_door")
def test_the_fuzzer_finds_what_is_there_and_the_same_seed_finds_it_again() -> None:
    tried: list[list[bytes]] = [[], []]
    for inputs in tried:
        tally = fuzz_door("json", 300, "1", 5.0, inputs.append)
        assert [data for _, data in tally.faults.values() if b"!" in data]
        assert tally.inputs == 300
    assert tried[0] == tried[1]
