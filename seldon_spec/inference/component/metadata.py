"""The model's metadata (contract section 8): of ``init_metadata()``, overridden by the declared and the operator's."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.model import UnitSpec
from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.component.hooks import call_user, is_not_implemented

logger = logging.getLogger(__name__)

_TEXT: dict[str, Any] = {"type": "string"}
_INTEGERS: dict[str, Any] = {"type": "array", "items": {"type": "integer"}}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_OBJECT: dict[str, Any] = {"type": "object"}
_ARRAYS = ("tensor", "ndarray", "tftensor")
_DATATYPES = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "BF16", "BYTES"),
)


def _closed(properties: Mapping[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object with these members and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _typed(messagetype: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    members = {"messagetype": dict(messagetype)} | ({} if schema is None else {"schema": dict(schema)})
    return _closed(members, ("messagetype",))


_OTHER_TYPES = {**_TEXT, "not": {"enum": [*_ARRAYS, "jsonData", "strData", "binData"]}}
_MESSAGE = {
    "anyOf": [
        _typed({"enum": list(_ARRAYS)}, _closed({"names": _TEXTS, "shape": _INTEGERS})),
        _typed({"enum": ["jsonData"]}, _OBJECT),
        _typed({"enum": ["strData", "binData"]}),
        _typed(_OTHER_TYPES, _OBJECT),
        _closed({"name": _TEXT, "datatype": {"enum": list(_DATATYPES)}, "shape": _INTEGERS}),
    ]
}
SCHEMA = _closed(
    {
        "name": _TEXT,
        "platform": _TEXT,
        "versions": _TEXTS,
        "inputs": {"type": "array", "items": _MESSAGE},
        "outputs": {"type": "array", "items": _MESSAGE},
        "custom": {"type": "object", "additionalProperties": _TEXT},
    }
)
"""The JSON Schema of metadata."""


def complete_metadata(
    own: Mapping[str, Any],
    unit: UnitSpec,
    inputs: Sequence[TensorSpec] = (),
    outputs: Sequence[TensorSpec] = (),
    platform: str | None = None,
) -> dict[str, Any] | None:
    """Complete the metadata of the class.

    Args:
        own: of the class, as ``call_init_metadata`` returns them.
        unit: what the operator sets; its metadata override all others.
        inputs, outputs, platform: as declared, if they are; they override those of the class.

    Returns:
        The six members; None if the contract does not allow them; the error is logged.
    """
    operators = unit.metadata or {}
    declared: dict[str, Any] = {} if platform is None else {"platform": platform}
    for key, tensors in (("inputs", inputs), ("outputs", outputs)):
        if tensors:
            declared[key] = [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in tensors]
    image, _, version = (unit.image or "").rpartition(":")
    metadata = {
        "name": image if unit.image else unit.name or "",
        "versions": [version if unit.image else unit.version or ""],
        "platform": "",
        "inputs": [],
        "outputs": [],
        "custom": {},
        **own,
        **declared,
        **operators,
    }
    return metadata if not (own or operators) or _is_valid(metadata) else None


def call_init_metadata(user: object) -> dict[str, Any]:
    """Return the metadata of the class; empty if it has none.

    Raises:
        ComponentFailed: the class raised.
    """
    if not hasattr(user, "init_metadata"):
        return {}
    try:
        own = call_user(user.init_metadata)
    except ComponentFailed as failure:
        if not is_not_implemented(failure):
            raise
        return {}
    if isinstance(own, dict):
        return own
    logger.error("init_metadata returned %s, not a dict: ignored", type(own).__name__)
    return {}


def _is_valid(metadata: dict[str, Any]) -> bool:
    from jsonschema import Draft7Validator  # not at the top: most classes have no metadata

    error = next(iter(Draft7Validator(SCHEMA).iter_errors(metadata)), None)
    if error is not None:
        place = ".".join(map(str, error.absolute_path)) or "the object"
        logger.error("the model's metadata are invalid and will not be served: %s: %s", place, error.message[:300])
    return error is None
