"""The mean of the responses of several branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seldon_spec.errors import CannotCombine
from seldon_spec.inference.arrays import Array, fill_masked, is_numeric
from seldon_spec.inference.message import Message, PayloadType, Tensor, join_messages


def average_messages(name: str, messages: Sequence[Message]) -> Message:
    """Return a message with the mean of arrays, or of named arrays, and the names of the first message.

    Its tags are those of all messages; the later ones override.

    Args:
        name: of the step, for errors.
        messages: at least one.

    Raises:
        CannotCombine: they are not arrays of numbers of one shape, or named arrays of the same names and shapes.
    """
    joined = join_messages(messages)
    first = messages[0]
    types = {message.payload_type for message in messages}
    if types == {PayloadType.ARRAY}:
        payload: Any = _mean(name, [message.payload for message in messages])
    elif types == {PayloadType.TENSORS}:
        payload = _average_tensors(name, [message.payload for message in messages])
    else:
        found = ", ".join(sorted(each.value for each in types))
        raise CannotCombine(f"{name} averages arrays of numbers, not {found}")
    meta = {key: value for key, value in (joined.meta or {}).items() if value}
    return Message(
        first.payload_type, payload, first.names, meta, first.encoding, has_default_names=first.has_default_names
    )


def _average_tensors(name: str, parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    by_name = [{tensor.name: tensor for tensor in part} for part in parts]
    if len({frozenset(part) for part in by_name}) > 1:
        names = " and ".join(str(sorted(part)) for part in by_name[:2])
        raise CannotCombine(f"{name} averages tensors of the same names, not {names}")
    return [
        Tensor(tensor.name, _mean(f"{name}, {tensor.name}", [part[tensor.name].array for part in by_name]))
        for tensor in parts[0]
    ]


def _mean(name: str, arrays: Sequence[Array]) -> Array:
    for array in arrays:
        if not is_numeric(array):
            raise CannotCombine(f"{name} averages numbers, not values of type {array.dtype}")
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        found = " and ".join(str(list(array.shape)) for array in arrays)
        raise CannotCombine(f"{name} averages arrays of one shape, not {found}")
    mean: Array = np.mean([fill_masked(array).astype(np.float64) for array in arrays], axis=0)
    return mean
