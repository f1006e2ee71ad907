"""Which protocol a call has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from seldon_spec.calls.errors import CallFailed
from seldon_spec.calls.target import Target
from seldon_spec.calls.values import has_arrays
from seldon_spec.inference.message import Operation
from seldon_spec.remote.failures import TimeLimit

Protocol: TypeAlias = Literal["auto", "seldon", "v2"]
Name: TypeAlias = Literal["predict", "infer", "transform_input", "transform_output", "route", "aggregate"]

OPERATIONS: Mapping[str, Operation] = {
    "predict": Operation.PREDICT,
    "transform_input": Operation.TRANSFORM_INPUT,
    "transform_output": Operation.TRANSFORM_OUTPUT,
    "route": Operation.ROUTE,
    "aggregate": Operation.AGGREGATE,
}
"""The operations of Seldon's protocol."""

_NOT_FOUND = 404
_V2_OPERATIONS = frozenset({"predict", "infer"})


def uses_v2(protocol: Protocol, operation: str, data: object) -> bool:
    """Return whether a call has the Open Inference Protocol.

    Args:
        protocol: of the client.
        operation: the name of the call.
        data: its argument.

    Raises:
        ValueError: the protocol has no such operation.
    """
    if operation not in OPERATIONS and operation not in _V2_OPERATIONS:
        raise ValueError(f"there is no operation {operation!r}; it is one of infer, {', '.join(OPERATIONS)}")
    if protocol == "seldon" and operation not in OPERATIONS:
        raise ValueError(f"Seldon's protocol has no {operation}; use protocol='v2'")
    if protocol == "v2" and operation not in _V2_OPERATIONS:
        raise ValueError(f"the Open Inference Protocol has no {operation}; use protocol='seldon'")
    if protocol == "auto":
        return operation not in OPERATIONS or (operation == "predict" and has_arrays(data))
    return protocol == "v2"


def has_v2_only(target: Target, error: CallFailed, limit: TimeLimit) -> bool:
    """Return whether a request failed because the server has the Open Inference Protocol, and not Seldon's.

    Such a request has had no effect.

    Args:
        target: of the request.
        error: of the request.
        limit: of the call.
    """
    if not _is_unknown(target, error):
        return False
    try:  # a class may have raised the same error
        target.read_metadata("", limit, is_v2=False)
    except CallFailed as second:
        return _is_unknown(target, second) and target.list_extensions(limit) is not None
    return False


def _is_unknown(target: Target, error: CallFailed) -> bool:
    return error.grpc_code == "UNIMPLEMENTED" if target.is_grpc else error.http_status == _NOT_FOUND
