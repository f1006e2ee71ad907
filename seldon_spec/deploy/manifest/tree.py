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
    key = next((key for key in _KEYS if all(key in to_plain(each) for each in [*items, *others] if each)), None)
    if key is None or not all(isinstance(to_plain(each), dict) for each in [*items, *others]):
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
