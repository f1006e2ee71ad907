"""The result of a call, with what the response says besides its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seldon_spec.inference.arrays import Array


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The result of one call.

    Attributes:
        value: of the kind of the argument, where the response has such a form; see ``Client``.
        names: of the columns; empty: the response has none.
        meta: ``meta`` of the response; of the Open Inference Protocol the same members, made from its parameters.
        request_id: the ID of the request in the server's logs.
        outputs: the arrays of the response by name; only of the Open Inference Protocol.
    """

    value: Any
    names: list[str]
    meta: Mapping[str, Any]
    request_id: str = ""
    outputs: Mapping[str, Array] = field(default_factory=dict)

    @property
    def tags(self) -> Mapping[str, Any]:
        """The tags of the response."""
        found: Mapping[str, Any] = self.meta.get("tags") or {}
        return found

    @property
    def metrics(self) -> list[Any]:
        """The metrics of the call, if the server sends them to clients."""
        return list(self.meta.get("metrics") or ())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: FBT001 - numpy's own signature
        array = np.asarray(self.value, dtype)
        return array.copy() if copy else array
