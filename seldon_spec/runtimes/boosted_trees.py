"""The trees of an XGBoost booster, calculated without the library for a few rows.

A call of XGBoost takes as long for one row as for thirty, since it prepares each call. A calculation is used only if
its results are those of the booster to the last bit, which is tried when the model is loaded, and only for a few rows
of finite numbers. All other rows go to the booster.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

MOST_ROWS = 16
"""XGBoost is faster for more."""
_MOST_NODES = 1 << 20
_SCALES = (0.1, 1.0, 10.0, 1000.0)


def find_margins(booster: Any, trees: int, call: Callable[[Array], Array]) -> Callable[[Array], Array | None] | None:
    """Return a calculation of the untransformed predictions of a booster.

    Args:
        booster: of XGBoost.
        trees: how many rounds are used; 0: all.
        call: returns the untransformed predictions of rows, of shape ``(rows,)`` or ``(rows, classes)``.

    Returns:
        None: the calculation is not known, or its results differ from the booster's. Otherwise it takes rows of shape
        ``(rows, columns)``, and returns None if only the booster can process them.
    """
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    columns = int(learner["learner_model_param"]["num_feature"])
    generator = np.random.default_rng(0)
    samples = [scale * generator.standard_normal((MOST_ROWS, columns)) for scale in _SCALES]
    for adds_base_first in (True, False):
        try:
            calculation = TreeSum(learner, trees, adds_base_first=adds_base_first)
        except (LookupError, TypeError, ValueError):  # another release writes another structure
            return None
        if all(_is_equal(calculation(rows), call(rows)) for rows in (*samples, *(rows[:1] for rows in samples))):
            return calculation
    return None


def _is_equal(found: Array | None, expected: Array) -> bool:
    return found is not None and found.dtype == expected.dtype and np.array_equal(found, expected)


class TreeSum:
    """The sum of the leaves of all trees.

    Args:
        learner: of the JSON of the booster.
        trees: how many rounds are used; 0: all.
        adds_base_first: whether the base score is added before the trees, or after them.

    Raises:
        LookupError, TypeError, ValueError: the booster has no trees of numbers, or too many.
    """

    def __init__(self, learner: Mapping[str, Any], trees: int, *, adds_base_first: bool) -> None:
        booster, parameters = learner["gradient_booster"], learner["learner_model_param"]
        if booster["name"] != "gbtree":
            raise ValueError(booster["name"])
        self._columns = int(parameters["num_feature"])
        groups = max(1, int(parameters["num_class"]))
        used = _select_trees(booster["model"], trees)
        nodes = [len(tree["left_children"]) for tree, _ in used]
        if sum(nodes) > _MOST_NODES or any(tree["categories"] or 1 in tree["split_type"] for tree, _ in used):
            raise ValueError("categories, or too many nodes")
        self._roots = np.cumsum([0, *nodes[:-1]])
        left, right = (_join(used, key, self._roots) for key in ("left_children", "right_children"))
        is_leaf = left < 0
        own = np.arange(len(left))
        left, right = np.where(is_leaf, own, left), np.where(is_leaf, own, right)
        self._children = np.stack((right, left), axis=1).ravel()  # the left child is that of a true comparison
        self._features = _join(used, "split_indices")
        conditions = _join(used, "split_conditions").astype(np.float32)
        self._leaves = conditions
        self._limits = np.where(is_leaf, np.float32(np.inf), conditions)
        self._depth = _find_depth(self._roots, self._children)
        base = np.array(json.loads(parameters["base_score"]), np.float32).reshape(-1)
        if learner["objective"]["name"] == "binary:logistic":
            base = -np.log(1 / base - 1)  # the file has the probability
        self._base = np.broadcast_to(base, groups) if base.size == 1 else base
        self._places = [np.flatnonzero([group == index for _, group in used]) for index in range(groups)]
        self._adds_base_first = adds_base_first

    def __call__(self, X: Array) -> Array | None:
        if type(X) is not np.ndarray or X.dtype.kind != "f" or X.ndim != 2 or X.shape[1] != self._columns:
            return None
        if not 0 < len(X) <= MOST_ROWS:
            return None
        with np.errstate(over="ignore"):
            rows = X.astype(np.float32)
        if not np.isfinite(rows).all():
            return None
        starts = np.arange(len(rows)).reshape(-1, 1) * self._columns
        values, nodes = rows.ravel(), self._roots
        for _ in range(self._depth):
            is_less = values[starts + self._features[nodes]] < self._limits[nodes]
            nodes = self._children[2 * nodes + is_less]
        leaves = np.broadcast_to(self._leaves[nodes], (len(rows), len(self._roots)))
        sums = [self._sum(leaves[:, places], base) for places, base in zip(self._places, self._base, strict=True)]
        return sums[0] if len(sums) == 1 else np.stack(sums, axis=1)

    def _sum(self, leaves: Array, base: Any) -> Array:
        """Return the sum of each row in the order of the trees, in which XGBoost rounds it."""
        if self._adds_base_first:
            leaves = np.insert(leaves, 0, base, axis=1)
        sums: Array = np.add.accumulate(leaves, axis=1)[:, -1]
        return sums if self._adds_base_first else sums + base


def _select_trees(model: Mapping[str, Any], rounds: int) -> Sequence[tuple[Mapping[str, Any], int]]:
    """Return the trees of the first rounds, each with its group."""
    pairs = list(zip(model["trees"], model["tree_info"], strict=True))
    return pairs[: model["iteration_indptr"][rounds]] if rounds else pairs


def _join(trees: Sequence[tuple[Mapping[str, Any], int]], key: str, offsets: Array | None = None) -> Array:
    """Return the values of the nodes of all trees; indices of nodes get the offset of their tree, -1 stays."""
    parts = [np.array(tree[key]) for tree, _ in trees]
    if offsets is not None:
        parts = [np.where(part < 0, part, part + offset) for part, offset in zip(parts, offsets, strict=True)]
    return np.concatenate(parts)


def _find_depth(roots: Array, children: Array) -> int:
    """Return how many steps lead from the roots to the deepest leaf, whose children are itself."""
    pairs = children.reshape(-1, 2)
    nodes, depth = roots, 0
    while True:
        nodes = nodes[pairs[nodes, 0] != nodes]
        if not nodes.size:
            return depth
        nodes, depth = pairs[nodes].ravel(), depth + 1
