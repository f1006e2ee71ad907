"""Differences between the declared inputs and outputs and what the user's object says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seldon_spec.config.contract import TensorSpec
from seldon_spec.inference.contract.examples import ContractKind, kind_of

_MAX_NAMES = 10


def find_differences(
    user: object, metadata: Mapping[str, Any], inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> Iterator[str]:
    """Yield a sentence for each difference.

    Args:
        user: the object, loaded. Its attributes are searched for fitted estimators, which have the names or the number
            of their features.
        metadata: what ``init_metadata`` returned.
        inputs, outputs: as declared; empty: there is nothing to compare.
    """
    for key, tensors in (("inputs", inputs), ("outputs", outputs)):
        if tensors:
            yield from _compare_metadata(key, metadata.get(key), tensors)
    columns = _columns_of(inputs)
    if columns is not None:
        for name, estimator in _find_estimators(user):
            yield from _compare_features(name, estimator, columns)


def _compare_metadata(key: str, entries: object, tensors: Sequence[TensorSpec]) -> Iterator[str]:
    if not isinstance(entries, (list, tuple)) or not all(isinstance(entry, Mapping) for entry in entries):
        return
    if not all("datatype" in entry for entry in entries):
        yield from _compare_schemas(key, entries, tensors)
        return
    own = {str(entry.get("name")): (entry["datatype"], list(entry.get("shape") or [])) for entry in entries}
    declared = {tensor.name: (tensor.datatype, list(tensor.shape)) for tensor in tensors}
    if own and own != declared:
        yield f"init_metadata() has the {key} {_show(own)}, and seldon.yaml declares {_show(declared)}, which is used"


def _compare_schemas(key: str, entries: Sequence[Mapping[str, Any]], tensors: Sequence[TensorSpec]) -> Iterator[str]:
    """Compare metadata of Seldon's protocol, which have the names of the columns of a message."""
    columns = _columns_of(tensors)
    for entry in entries:
        schema = entry.get("schema")
        names = schema.get("names") if isinstance(schema, Mapping) else None
        if columns and isinstance(names, (list, tuple)) and names and list(names) != columns:
            shown = _list([str(name) for name in names])
            yield f"init_metadata() has {key} with the columns {shown}, and seldon.yaml declares {_list(columns)}"


def _show(tensors: Mapping[str, tuple[Any, list[Any]]]) -> str:
    shown = [f"{name} {datatype} {shape}" for name, (datatype, shape) in tensors.items()]
    return _list(shown)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_NAMES]) + (f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "")


def _columns_of(inputs: Sequence[TensorSpec]) -> list[str] | None:
    kind = kind_of(inputs)
    if kind is ContractKind.COLUMNS:
        return inputs[0].column_names
    return [tensor.name for tensor in inputs] if kind is ContractKind.TABLE else None


def _find_estimators(user: object) -> Iterator[tuple[str, object]]:
    """Yield the object itself and its attributes, as far as they are fitted as those of scikit-learn are."""
    attributes = getattr(user, "__dict__", {})
    for name, value in [("the class", user), *attributes.items()]:
        if not isinstance(value, type) and (
            hasattr(type(value), "n_features_in_") or "n_features_in_" in getattr(value, "__dict__", {})
        ):
            yield name, value


def _compare_features(name: str, estimator: object, columns: list[str]) -> Iterator[str]:
    try:
        names = [str(each) for each in getattr(estimator, "feature_names_in_", ())]
        count = int(getattr(estimator, "n_features_in_"))  # noqa: B009 - the type is not known here
    except (AttributeError, TypeError, ValueError):  # a property of an estimator that is not fitted
        return
    if names and sorted(names) == sorted(columns) and names != columns:
        yield f"{name} was fitted with the columns {_list(names)}, and seldon.yaml declares the order {_list(columns)}"
    elif names and names != columns:
        missing = [each for each in names if each not in columns]
        unknown = [each for each in columns if each not in names]
        parts = [f"seldon.yaml does not declare {_list(missing)}"] if missing else []
        parts += [f"it does not know {_list(unknown)}"] if unknown else []
        yield f"{name} was fitted with other columns than seldon.yaml declares: {', and '.join(parts)}"
    elif not names and count != len(columns):
        yield f"{name} was fitted with {count} features, and seldon.yaml declares {len(columns)} columns"
