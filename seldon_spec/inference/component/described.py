"""The inputs and outputs that a model file describes: the contract of a spec that declares none."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from seldon_spec.config.build_spec import make_tensors
from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.schema.fast_check import accepts
from seldon_spec.config.schema.lookup import field_schema, load_schema
from seldon_spec.inference.component.failure import user_code

logger = logging.getLogger(__name__)


class DescribedContract(NamedTuple):
    """What a model describes; empty: nothing."""

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()


def read_contract(runtime: Any) -> DescribedContract:
    """Return the contract of the model of a runtime, whose method ``contract`` has the form of seldon.yaml.

    What a file could not declare, e.g. columns without a name, is left out, and logged.
    """
    with user_code():
        described: Mapping[str, Any] = runtime.contract()
    return DescribedContract(
        *(_read_tensors(key, described.get(key) or [], default) for key, default in _DEFAULTS.items())
    )


_DEFAULTS = {"inputs": "input-0", "outputs": "output-0"}


def _read_tensors(key: str, entries: Sequence[Any], default: str) -> tuple[TensorSpec, ...]:
    schema = field_schema((key,)) or {}
    names = [column if isinstance(column, str) else column.get("name") for column in _list_columns(entries)]
    if accepts(entries, schema, load_schema()) and len(set(names)) == len(names):
        return make_tensors(entries, default)
    logger.warning("the model describes %s that seldon.yaml cannot declare: they are not used", key)
    return ()


def _list_columns(entries: Sequence[Any]) -> Sequence[Any]:
    """Return what must have different names: the columns of the only entry, or the entries."""
    return entries[0].get("columns") or entries if len(entries) == 1 else entries
