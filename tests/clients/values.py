"""The arrays that the clients send: every datatype, with the values that conversions lose first."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]

NUMBERS: dict[str, Array] = {
    "BOOL": np.array([[True, False]]),
    **{
        f"{prefix}{bits}": np.array(
            [[np.iinfo(f"{kind}{bits}").min, 1, np.iinfo(f"{kind}{bits}").max]], f"{kind}{bits}"
        )
        for prefix, kind in (("INT", "int"), ("UINT", "uint"))
        for bits in (8, 16, 32, 64)
    },
    "FP32": np.array([[0.1, -0.0, 3.4028235e38, 1e-45, np.nan, np.inf, -np.inf]], np.float32),
    "FP64": np.array([[0.1, -0.0, 1.7976931348623157e308, 5e-324, np.nan, np.inf, -np.inf]], np.float64),
}
"""Datatypes that every client sends in every form."""

HALVES: dict[str, Array] = {
    "FP16": np.array([[0.1, -0.0, 65504, 6e-8, np.nan, np.inf, -np.inf]], np.float16),
    "BF16": np.array([[0.1, -0.0, 3.3e38, np.nan, np.inf, -np.inf]], ml_dtypes.bfloat16),
}
"""Datatypes that clients send in binary form only."""

TEXTS = np.array([["", "é", "漢字", 'quote " and \\', "line\nbreak"]], np.object_)
BYTES = np.array([[b"", b"\xff\x00\xfe", b"abc", bytes(range(256))]], np.object_)


def check_equal(sent: Array, received: Array | None, what: str) -> None:
    """Raise AssertionError unless the arrays have the same dtype, shape and values, bit by bit except for NaN."""
    assert received is not None, f"{what}: no output"
    assert received.shape == sent.shape, f"{what}: shape {received.shape}, sent {sent.shape}"
    if sent.dtype == np.object_:
        expected = [item.encode() if isinstance(item, str) else item for item in sent.ravel().tolist()]
        found = [item.encode() if isinstance(item, str) else item for item in received.ravel().tolist()]
        assert found == expected, f"{what}: {found}, sent {expected}"
        return
    assert received.dtype == sent.dtype, f"{what}: dtype {received.dtype}, sent {sent.dtype}"
    is_same = (received == sent) | ((received != received) & (sent != sent))  # NaN differs from itself
    assert is_same.all(), f"{what}: {received.tolist()}, sent {sent.tolist()}"
    if sent.dtype.kind in "f":
        assert (np.signbit(received) == np.signbit(sent))[sent == 0].all(), f"{what}: the sign of zero is lost"
