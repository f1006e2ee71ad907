"""The encodings of Seldon's protocol: JSON with ndarray or tensor, and protobuf."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seldon_spec.contract_test.case import Case, Values, nest
from seldon_spec.contract_test.contract import Layout
from seldon_spec.contract_test.encoder import Encoder, Request, Unencodable, dump, load_json, to_json
from seldon_spec.contract_test.result import BadResponse, Result, read_tree
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.protocols.seldon_v1.proto.json_form import ERRORS, message_to_tree, tree_to_message

_EXACT_INTEGERS = 1 << 53
"""The integers below it have exact doubles."""
_INT64 = 1 << 63


@dataclass(frozen=True)
class V1Json(Encoder):
    """Seldon's protocol in JSON.

    Attributes:
        form: of arrays of numbers: ``ndarray`` or ``tensor``.
    """

    form: str = "ndarray"

    def encode(self, case: Case) -> Request:
        tree = message_tree(case, self.form)
        if any(isinstance(item, int) and not -_INT64 <= item < _INT64 for v in case.inputs for item in v.items):
            raise Unencodable("an integer is larger than an int64")
        return Request(dump(tree))

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Result:  # noqa: ARG002 - of the base class
        return read_tree(load_json(body))

    def list_malformed(self, example: Case) -> list[tuple[str, Request]]:  # noqa: ARG002 - of the base class
        bodies = {
            "text that is not JSON": b'{"data": ',
            "an empty body": b"",
            "a message without a payload": b'{"meta": {}}',
            "a list instead of a message": b"[1, 2]",
        }
        return [(label, Request(body)) for label, body in bodies.items()]


@dataclass(frozen=True)
class V1Proto(Encoder):
    """Seldon's protocol in protobuf."""

    is_grpc: bool = True

    def encode(self, case: Case) -> Request:
        tree = message_tree(case, "ndarray")
        for values in case.inputs:
            if any(isinstance(item, int) and abs(item) > _EXACT_INTEGERS for item in values.items):
                raise Unencodable("protobuf has doubles only, and an integer has no exact one")
        try:
            return Request(tree_to_message(tree, SeldonMessage()).SerializeToString())
        except ERRORS as error:
            raise Unencodable(str(error)) from error

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Result:  # noqa: ARG002 - of the base class
        try:
            return read_tree(message_to_tree(SeldonMessage.FromString(body), is_bare=True))
        except ERRORS as error:
            raise BadResponse(f"the response is no SeldonMessage: {error}") from error

    def list_malformed(self, example: Case) -> list[tuple[str, Request]]:  # noqa: ARG002 - of the base class
        return [
            ("bytes that are not protobuf", Request(b"\xff\xff\xff")),
            ("a message without a payload", Request(b"")),
        ]


def message_tree(case: Case, form: str) -> dict[str, Any]:
    """Return a case as a message of Seldon's protocol in JSON.

    Raises:
        Unencodable: the form is ``tensor`` and there are not only numbers, or the inputs are no rows.
    """
    if case.layout is not Layout.TENSORS:
        return _table_tree(case, form)
    if not case.is_single or len(case.inputs) != 1:
        if form == "tensor":
            raise Unencodable("several inputs are jsonData")
        return {"jsonData": {values.name: _nested(values) for values in case.inputs}}
    values = case.inputs[0]
    if case.is_valid and values.datatype == "BYTES" and len(values.items) == 1 and values.items[0] is not None:
        if form == "tensor":
            raise Unencodable("it is one text or file")
        return _single_tree(values.items[0], values)
    return {"data": {form: _tensor(values.shape, values.items) if form == "tensor" else _nested(values)}}


def _single_tree(item: str | bytes, values: Values) -> dict[str, Any]:
    if values.content_type == "json":
        return {"jsonData": json.loads(item)}
    if isinstance(item, bytes):
        return {"binData": base64.b64encode(item).decode()}
    return {"strData": item}


def _table_tree(case: Case, form: str) -> dict[str, Any]:
    if case.layout is Layout.COLUMNS:
        names, values = list(case.columns), case.inputs[0]
        shape, items, nested = values.shape, values.items, _nested(values)
    else:
        names = [values.name for values in case.inputs]
        if len({len(values.items) for values in case.inputs}) != 1:
            raise Unencodable("the columns differ in length")
        columns = [[to_json(item, values) for item in values.items] for values in case.inputs]
        items = tuple(item for row in zip(*columns, strict=True) for item in row)
        shape = (len(columns[0]), len(columns))
        nested = nest(items, shape)
        is_float = any(values.datatype in ("FP16", "BF16", "FP32", "FP64") for values in case.inputs)
        if is_float and any(isinstance(item, int) and abs(item) > _EXACT_INTEGERS for item in items):
            raise Unencodable("an integer beside floats has no exact double")
    return {"data": {"names": names, form: _tensor(shape, items) if form == "tensor" else nested}}


def _tensor(shape: tuple[int, ...], items: tuple[Any, ...]) -> dict[str, Any]:
    if not all(type(item) in (int, float) for item in items):
        raise Unencodable("a tensor has numbers only")
    return {"shape": list(shape), "values": list(items)}


def _nested(values: Values) -> Any:
    if not values.shape:
        raise Unencodable("an array without dimensions")
    return nest([to_json(item, values) for item in values.items], values.shape)
