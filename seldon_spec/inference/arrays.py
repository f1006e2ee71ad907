"""Shape and datatype rules of arrays, for every encoding.

An array is never much larger than its message: rows must be equally long, a tensor's shape must fit its values, and
text is stored in numpy's fixed-width form only if that form is not much larger than the text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from seldon_spec.errors import PayloadError

Array = npt.NDArray[Any]
T = TypeVar("T")

MAX_DIMENSIONS = 32
"""What every supported numpy can hold; numpy 2 would allow 64."""

MAX_EMPTY_DIMENSION = 65536
"""The longest axis of a tensor without values, which could otherwise have any length."""

MAX_DEPTH = 100
"""How deeply objects and lists may be nested in a message; protobuf's own limit, applied to JSON too."""

TEXT_BYTES_PER_CHARACTER = 32
"""How many bytes of fixed-width text one character of the message may cost."""

TEXT_BYTES_ALWAYS = 1 << 20
"""Up to this size fixed-width text is used in any case, as numpy would."""

CACHED_WIDTH = 1024
"""What wider tables need for their columns is not cached."""

_CACHED_WIDTHS = 64
_NUMPY_TEXT_WIDTH = 32  # numpy's width for a float in an array of text
_INTEGERS = frozenset({int})
_SCALARS = frozenset({int, float, bool})


def check_depth(value: object, limit: int = MAX_DEPTH) -> None:
    """Reject a value that is nested more than ``limit`` levels deep, without recursion.

    Raises:
        PayloadError: it is.
    """
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(limit):
        if not level:
            return
        level = [child for item in level for child in _children(item) if isinstance(child, (dict, list))]
    if level:
        raise PayloadError(f"the message is nested more than {limit} levels deep")


def _children(item: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return item.values() if isinstance(item, dict) else item


def array_from_nested(value: object, allowance: int = TEXT_BYTES_ALWAYS) -> Array:
    """Turn nested lists into the array that ``numpy.array`` makes of them.

    Args:
        value: a scalar, or lists of equal length at each level; leaves may be of any JSON type. One text among numbers
            makes all of them text, null and objects make an array of objects (contract section 4.1). Or the array
            itself, if the codec read one; it has no other owner.
        allowance: up to how many bytes text is stored in fixed width in any case.

    Returns:
        A writable array that owns its memory. Text whose fixed-width form would be much larger than the message,
        such as one long text among many short ones, becomes an array of objects of type str.

    Raises:
        PayloadError: the rows differ in length, or there are more than 32 levels of lists.
    """
    if isinstance(value, np.ndarray):
        return value
    return array_from_leaves(*flatten_nested(value), allowance)


def array_from_leaves(shape: tuple[int, ...], leaves: list[Any], types: set[type], allowance: int) -> Array:
    """Return the array of what ``flatten_nested`` returned; see ``array_from_nested``."""
    if types <= _SCALARS:
        try:
            return np.array(leaves).reshape(shape)
        except (OverflowError, ValueError) as error:  # an integer among floats that no float can hold
            raise PayloadError(f"the numbers fit no array: {error}") from error
    if str in types and types.issubset(_SCALARS | {str}):
        return _texts(leaves, types, allowance).reshape(shape)
    check_depth(leaves)
    return _objects(leaves).reshape(shape)


def flatten_nested(value: object) -> tuple[tuple[int, ...], list[Any], set[type]]:
    """Return the shape of nested lists, their leaves, row-major, and the types of these.

    Raises:
        PayloadError: the rows differ in length, or there are more than 32 levels of lists.
    """
    shape: list[int] = []
    level: list[Any] = [value]
    while len(level) == 1 and type(level[0]) is list:  # one row, as in most small requests, is the list of leaves
        level = level[0]
        shape.append(len(level))
    while (types := set(map(type, level))) == {list}:
        lengths = set(map(len, level))
        if len(lengths) > 1:
            raise PayloadError(f"the rows of an array differ in length: {_some(lengths)}")
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
    if list in types:
        raise PayloadError("the rows of an array differ in depth: a list has both lists and single values")
    if len(shape) > MAX_DIMENSIONS:
        raise PayloadError(f"an array has more than {MAX_DIMENSIONS} dimensions")
    return tuple(shape), level, types


def _some(lengths: set[int]) -> str:
    return ", ".join(map(str, sorted(lengths)[:5])) + (", ..." if len(lengths) > 5 else "")


def _texts(leaves: list[Any], types: set[type], allowance: int) -> Array:
    # numpy converts numbers among text as str() does; the text is made here to measure it before it is stored
    texts = leaves if types == {str} else list(map(str, leaves))
    width = max(map(len, texts))
    if types != {str}:
        width = max(width, _NUMPY_TEXT_WIDTH)
    stored = 4 * width * len(texts)
    explained = TEXT_BYTES_PER_CHARACTER * (sum(map(len, texts)) + len(texts))
    if stored > max(allowance, explained):
        return _objects(texts)
    return np.array(leaves)


def _objects(leaves: list[Any]) -> Array:
    array = np.empty(len(leaves), dtype=object)
    array[:] = leaves
    return array


def array_from_tensor(values: object, shape: object, *, may_infer: bool) -> Array:
    """Turn a tensor's flat values and its shape into an array.

    Args:
        values: the values, row-major: a list of any type that an array can hold, or an array without another owner.
        shape: the size of each dimension; empty for a single value.
        may_infer: whether one size may be -1, which is computed from the count of values.

    Returns:
        A writable array that owns its memory.

    Raises:
        PayloadError: the count of values is not the product of ``shape``, or the shape is invalid.
    """
    flat = array_from_nested(values)
    sizes = _check_shape(shape, flat.size, may_infer=may_infer)
    try:
        return flat.reshape(sizes)
    except (ValueError, OverflowError) as error:
        raise PayloadError(f"a tensor's shape {list(sizes)} does not fit: {error}") from error


def _check_shape(shape: object, count: int, *, may_infer: bool) -> tuple[int, ...]:
    if not isinstance(shape, list) or not _INTEGERS.issuperset(map(type, shape)):
        raise PayloadError("a tensor's shape is not a list of integers")
    if len(shape) > MAX_DIMENSIONS:
        raise PayloadError(f"a tensor has more than {MAX_DIMENSIONS} dimensions")
    if min(shape, default=1) > 0 and math.prod(shape) == count:  # nearly every one
        return tuple(shape)
    inferred = shape.count(-1)
    if min(shape, default=0) < (-1 if may_infer else 0) or inferred > 1:
        raise PayloadError(f"a tensor's shape {shape} has a negative size")
    known = math.prod(size for size in shape if size != -1)
    if inferred and (known == 0 or count % known):
        raise PayloadError(f"a tensor's shape {shape} does not fit its {count} values")
    if not inferred and known != count:
        raise PayloadError(f"a tensor's shape {shape} does not fit its {count} values")
    if count == 0 and max(shape) > MAX_EMPTY_DIMENSION:
        raise PayloadError(f"an empty tensor's shape {shape} has a size above {MAX_EMPTY_DIMENSION}")
    return tuple(shape)


def own_array(array: Array) -> Array:
    """Return the array itself if it is writable and aligned, else a copy: a writable array has no other owner."""
    flags = array.flags
    return array if flags.writeable and flags.aligned else array.copy()


def is_numeric(array: Array) -> bool:
    """Return whether an array may be sent as a tensor: of numbers, but not of truth values (contract section 4.2)."""
    return array.dtype.kind in "iufc"


def fill_masked(array: Array) -> Array:
    """Return the array itself; one of numbers with a mask as floats, with NaN for what is masked."""
    return np.ma.filled(array.astype(np.float64), np.nan) if is_masked(array) else array


def is_masked(value: object) -> bool:
    """Return whether a value is an array with a mask that hides something."""
    if type(value) is np.ndarray or not isinstance(value, np.ndarray):  # nearly all; numpy.ma is imported for no other
        return False
    if not isinstance(value, np.ma.MaskedArray):
        return False
    mask: Any = np.ma.getmask(value)
    return bool(np.any(mask if mask.dtype.names is None else np.ma.flatten_mask(mask)))


class _ByWidth(dict[int, T]):
    """The results of a function of a count of columns, for up to 64 counts."""

    def __init__(self, make: Callable[[int], T]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, width: int) -> T:
        made = self._make(width)
        if width <= CACHED_WIDTH and len(self) < _CACHED_WIDTHS:
            self[width] = made
        return made


def cached_by_width(make: Callable[[int], T]) -> Callable[[int], T]:
    """Cache a function of a count of columns for the counts that are in use; a cached result costs no Python call."""
    return _ByWidth(make).__getitem__


@cached_by_width
def default_names(width: int) -> tuple[str, ...]:
    """Return the names of that many columns where the class gives none (contract section 4.3)."""
    return tuple(f"t:{index}" for index in range(width))
