"""The trees of a manifest: plain values, some with a comment about their origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Tree = Any
"""None, a boolean, a number, a text, a list or a mapping of trees, or :class:`Commented`."""


@dataclass(frozen=True, slots=True)
class Commented:
    """A tree with a comment on its line."""

    value: Tree
    comment: str


def to_plain(tree: Tree) -> Any:
    """Return a tree without comments, as a YAML parser returns the text of it."""
    if isinstance(tree, Commented):
        return to_plain(tree.value)
    if isinstance(tree, Mapping):
        return {key: to_plain(value) for key, value in tree.items()}
    return [to_plain(item) for item in tree] if isinstance(tree, (list, tuple)) else tree


_KEYS = ("name", "mountPath")
"""The keys that identify the items of a list of mappings, as Kubernetes merges them."""


def merge(tree: Tree, overlay: Tree) -> Tree:
    """Return a tree with another one merged over it.

    Mappings are merged by key, and a null of the overlay removes a key. Lists whose items have a name are merged by
    name, other lists are joined. Any other value of the overlay replaces that of the tree.
    """
    if isinstance(tree, Commented):
        value = merge(tree.value, overlay)
        return Commented(value, tree.comment) if isinstance(tree.value, (Mapping, list)) else value
    plain = overlay.value if isinstance(overlay, Commented) else overlay
    if isinstance(tree, Mapping) and isinstance(plain, Mapping):
        merged = {**tree, **{key: merge(tree[key], value) if key in tree else value for key, value in plain.items()}}
        return {key: value for key, value in merged.items() if to_plain(value) is not None}
    if isinstance(tree, list) and isinstance(plain, (list, tuple)):
        return _merge_lists(tree, plain)
    return overlay


def _merge_lists(items: list[Tree], others: Sequence[Tree]) -> list[Tree]:
    key = _find_key([to_plain(each) for each in [*items, *others]])
    if key is None:
        return [*items, *others]
    places = {to_plain(item)[key]: index for index, item in enumerate(items)}
    merged = list(items)
    for other in others:
        index = places.get(to_plain(other)[key])
        if index is None:
            merged.append(other)
        else:
            merged[index] = merge(merged[index], other)
    return merged


def _find_key(items: Sequence[Any]) -> str | None:
    """Return the key that identifies the items of a list; None if they have none."""
    return next((key for key in _KEYS if all(isinstance(each, dict) and key in each for each in items)), None)


def subtract(whole: Any, tree: Any) -> Any:
    """Return the overlay that :func:`merge` needs to make ``whole`` of a tree; both are plain values.

    Items that lists of ``whole`` lack cannot be expressed, and are ignored.
    """
    if isinstance(whole, dict) and isinstance(tree, dict):
        removed = {key: None for key in tree if key not in whole}
        changed = {key: value for key, value in whole.items() if key not in tree or value != tree[key]}
        return {key: subtract(value, tree.get(key)) for key, value in changed.items()} | removed
    if isinstance(whole, list) and isinstance(tree, list):
        return _subtract_lists(whole, tree)
    return whole


def _subtract_lists(whole: list[Any], items: list[Any]) -> list[Any]:
    key = _find_key([*whole, *items])
    if key is None:
        return [item for item in whole if item not in items]
    known = {item[key]: item for item in items}
    changed = [item for item in whole if item != known.get(item[key])]
    return [{key: item[key], **subtract(item, known.get(item[key]))} for item in changed]
