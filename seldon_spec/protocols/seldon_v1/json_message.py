"""A SeldonMessage in JSON to a message (contract sections 4.1 and 4.3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import TEXT_BYTES_ALWAYS, Array, array_from_tensor, check_depth
from seldon_spec.inference.message import KeepRows, Message, PayloadType
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding, read_ndarray
from seldon_spec.protocols.seldon_v1.base64_data import decode_base64

_META_MEMBERS: tuple[tuple[str, type, str], ...] = (
    ("tags", dict, "an object"),
    ("metrics", list, "a list"),
    ("requestPath", dict, "an object"),
)

_TEXTS = frozenset({str})

_MEMBERS = frozenset({"status", "meta", "data", "binData", "strData", "jsonData"})
"""The members of a message."""

_EXPECTED = 'the Seldon protocol expects {"data": {"ndarray": [[...], ...]}}, or one of jsonData, strData and binData'


def message_from_tree(
    tree: object, allowance: int = TEXT_BYTES_ALWAYS, keeps_rows: KeepRows = KeepRows.NEVER
) -> Message:
    """Read a message.

    Args:
        tree: the JSON value; it may hold the array itself where JSON has an array's lists.
        allowance: see ``array_from_nested``.
        keeps_rows: see ``Request``.

    Raises:
        PayloadError: it is no message.
    """
    if not isinstance(tree, dict):
        raise PayloadError(f"Invalid request data type: {describe_tree(tree)}; {_EXPECTED}")
    meta = _decode_meta(tree) if "meta" in tree else None
    if "data" in tree:
        return _decode_data(tree["data"], meta, allowance, keeps_rows)
    if "jsonData" in tree:
        check_depth(tree["jsonData"])
        return Message(PayloadType.JSON, tree["jsonData"], meta=meta)
    if "strData" in tree:  # its type is not checked, as in the original
        check_depth(tree["strData"])
        return Message(PayloadType.TEXT, tree["strData"], meta=meta)
    if "binData" in tree:
        return Message(PayloadType.BINARY, decode_base64(tree["binData"]), meta=meta)
    raise PayloadError(f"Invalid request data type: {describe_tree(tree)}; {_EXPECTED}")


def list_parts(tree: object) -> list[Any] | None:
    """Return the messages of an ``aggregate`` request, or None if it is something else.

    They are a list, as Seldon's executor sends it; a SeldonMessageList; or an object with a message for each name, as
    KServe's router sends the responses of an Ensemble.
    """
    if not isinstance(tree, dict):
        return tree if isinstance(tree, list) else None
    if "seldonMessages" in tree:
        parts = tree["seldonMessages"]
        return parts if isinstance(parts, list) else None
    is_by_name = _MEMBERS.isdisjoint(tree) and all(
        isinstance(part, dict) and not _MEMBERS.isdisjoint(part) for part in tree.values()
    )
    return list(tree.values()) if tree and is_by_name else None


def describe_tree(tree: object) -> str:
    """Return a short description of a JSON value."""
    if isinstance(tree, dict):
        return f"an object with the keys {sorted(map(str, tree))[:10]}" if tree else "{}"
    return f"a list of {len(tree)}" if isinstance(tree, list) else repr(tree)[:100]


def _decode_meta(tree: dict[str, Any]) -> dict[str, Any]:
    meta = tree["meta"]
    if not isinstance(meta, dict):
        raise PayloadError("meta is not an object")
    for key, expected, description in _META_MEMBERS:
        if meta.get(key) and not isinstance(meta[key], expected):
            raise PayloadError(f"meta.{key} is not {description}")
    check_depth(meta)
    return meta


def _decode_data(data: object, meta: dict[str, Any] | None, allowance: int, keeps_rows: KeepRows) -> Message:
    if not isinstance(data, dict):
        raise PayloadError(f"data is {describe_tree(data)}, not an object; {_EXPECTED}")
    names = data.get("names", [])
    if names:
        if not isinstance(names, list):
            raise PayloadError("data.names is not a list")
        if not _TEXTS.issuperset(map(type, names)):
            check_depth(names)
    if "tensor" in data:
        return Message(PayloadType.ARRAY, _decode_tensor(data["tensor"]), names, meta, ArrayEncoding.TENSOR)
    if "ndarray" in data:
        return read_ndarray(data["ndarray"], names, meta, allowance, keeps_rows)
    if "tftensor" in data:
        from seldon_spec.protocols.seldon_v1.json_proto import (
            tftensor_from_tree,  # not at the top: most requests need no protobuf
        )

        return Message(
            PayloadType.ARRAY, tftensor_from_tree(data["tftensor"], allowance), names, meta, ArrayEncoding.TFTENSOR
        )
    if data.keys() - {"names"}:
        raise PayloadError(f"data holds no ndarray, tensor or tftensor: {describe_tree(data)}; {_EXPECTED}")
    return Message(PayloadType.ARRAY, np.array([]), names, meta, ArrayEncoding.NDARRAY)


def _decode_tensor(tensor: object) -> Array:
    if not isinstance(tensor, dict):
        raise PayloadError("data.tensor is not an object")
    for key in ("shape", "values"):
        if key not in tensor:
            raise PayloadError(f"data.tensor has no {key}")
    return array_from_tensor(tensor["values"], tensor["shape"], may_infer=True)
