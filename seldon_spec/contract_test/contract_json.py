"""The file ``contract.json`` of Seldon Core's tester as inputs and outputs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seldon_spec.config.contract import ColumnSpec, Scalar, TensorSpec
from seldon_spec.contract_test.contract import VARIABLE, Contract
from seldon_spec.errors import SeldonSpecError

CONTRACT_FILE = "contract.json"

_DATATYPES = {"FLOAT": "FP64", "INT": "INT64", "INTEGER": "INT64", "STRING": "BYTES", "BOOL": "BOOL"}
_RANGE_ENDS = 2


class BadContract(SeldonSpecError):
    """The file is no contract, or the contract cannot be tested."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the array of a request or a response."""

    name: str
    datatype: str
    minimum: float | None
    maximum: float | None
    choices: tuple[Scalar, ...]


def read_contract(path: Path) -> Contract:
    """Read a contract.

    Returns:
        Features of one datatype are the columns of one input; of several, an input each. Targets are the columns of one
        output, whose names and datatypes are not checked.

    Raises:
        BadContract: the file cannot be read, or is no contract.
    """
    try:
        tree = json.loads(path.read_bytes())
    except OSError as error:
        raise BadContract(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BadContract(f"{path} is not JSON: {error}") from None
    try:
        features = _read_entries(tree, "features")
        targets = _read_entries(tree, "targets")
        inputs = _make_inputs(features)
        outputs = _make_outputs(targets)
    except BadContract as error:
        raise BadContract(f"{path}: {error}") from None
    reason = f"the server knows nothing of {path.name}; declare inputs in seldon.yaml to have requests validated"
    return Contract(inputs, outputs, is_exact=False, lenient_reason=reason)


def _read_entries(tree: Any, key: str) -> list[Mapping[str, Any]]:
    entries = tree.get(key) if isinstance(tree, dict) else None
    is_list = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    if not is_list or (key == "features" and not entries):
        raise BadContract(f"{key} is not a list of objects")
    assert isinstance(entries, list)
    return entries


def _make_inputs(entries: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    shaped = [entry for entry in entries if len(_shape(entry)) > 1]
    if shaped:
        if len(entries) > 1:
            raise BadContract("a feature with a shape of several dimensions has to be the only one")
        column = _read_column(entries[0], str(entries[0].get("name", "input-0")))
        shape = (VARIABLE, *_shape(entries[0]))
        return (_make_tensor(column, shape),)
    columns = [column for entry in entries for column in _read_columns(entry, "{name}{number}", 1)]
    if len({column.datatype for column in columns}) == 1 and columns[0].datatype != "BYTES":
        return (_join("input-0", columns),)
    return tuple(_make_tensor(column, (VARIABLE,)) for column in columns)


def _make_outputs(entries: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    if not entries or any(len(_shape(entry)) > 1 for entry in entries):
        return ()
    return (_join("output-0", [column for entry in entries for column in _read_columns(entry, "{name}:{number}", 0)]),)


def _make_tensor(column: _Column, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(
        column.name,
        column.datatype,
        shape,
        content_type="str" if column.datatype == "BYTES" else None,
        minimum=column.minimum,
        maximum=column.maximum,
        choices=column.choices,
    )


def _join(name: str, columns: Sequence[_Column]) -> TensorSpec:
    specs = tuple(ColumnSpec(c.name, c.minimum, c.maximum, c.choices) for c in columns)
    return TensorSpec(name, columns[0].datatype, (VARIABLE, len(columns)), columns=specs)


def _shape(entry: Mapping[str, Any]) -> tuple[int, ...]:
    shape = entry.get("shape", [])
    if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
        raise BadContract(f"{entry.get('name')}: shape is not a list of sizes")
    return tuple(shape)


def _read_columns(entry: Mapping[str, Any], pattern: str, first: int) -> list[_Column]:
    """Return the columns of an entry; several ones have numbers in their names."""
    name = entry.get("name")
    if not isinstance(name, str):
        raise BadContract("an entry has no name")
    repeat = entry.get("repeat", 1)
    if type(repeat) is not int or repeat < 1:
        raise BadContract(f"{name}: repeat is not a number of columns")
    count = repeat * math.prod(_shape(entry) or (1,))
    if "repeat" not in entry and count == 1:
        return [_read_column(entry, name)]
    return [_read_column(entry, pattern.format(name=name, number=first + index)) for index in range(count)]


def _read_column(entry: Mapping[str, Any], name: str) -> _Column:
    kind = entry.get("ftype", "categorical" if "values" in entry else "continuous")
    if kind == "categorical":
        values = entry.get("values")
        if not isinstance(values, list) or not values:
            raise BadContract(f"{name}: values is not a list")
        return _Column(name, _datatype_of(values), None, None, tuple(values))
    if kind != "continuous":
        raise BadContract(f"{name}: ftype is {kind!r}; allowed: continuous, categorical")
    dtype = entry.get("dtype")
    if dtype not in _DATATYPES:
        raise BadContract(f"{name}: dtype is {dtype!r}; allowed: {', '.join(_DATATYPES)}")
    ends = entry.get("range", ["inf", "inf"])
    if not isinstance(ends, list) or len(ends) != _RANGE_ENDS:
        raise BadContract(f"{name}: range is not a list of two numbers")
    low, high = (_read_end(end, name) for end in ends)
    return _Column(name, _DATATYPES[dtype], low, high, ())


def _read_end(end: Any, name: str) -> float | None:
    if end == "inf":
        return None
    if isinstance(end, (int, float)) and not isinstance(end, bool):
        return end
    raise BadContract(f'{name}: {end!r} is not the end of a range: a number or "inf"')


def _datatype_of(values: Sequence[Any]) -> str:
    types = set(map(type, values))
    for allowed, datatype in (({bool}, "BOOL"), ({int}, "INT64"), ({int, float}, "FP64"), ({str}, "BYTES")):
        if types <= allowed:
            return datatype
    raise BadContract(f"the values {values!r:.100} are of different types")
