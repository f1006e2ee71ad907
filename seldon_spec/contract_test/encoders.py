"""The encoders of a contract test: one for each form that a request can have."""

from __future__ import annotations

from seldon_spec.contract_test.encoder import Encoder
from seldon_spec.contract_test.v1_encoders import V1Json, V1Proto
from seldon_spec.contract_test.v2_encoders import V2Binary, V2Json, V2Proto


def make_encoders(model: str, *, has_rest: bool = True, has_grpc: bool = True, has_infer: bool = True) -> list[Encoder]:
    """Return the encoders of the protocols.

    Args:
        model: its name.
        has_rest, has_grpc: the transports.
        has_infer: whether the model has an inference of the Open Inference Protocol.
    """
    rest: list[Encoder] = [V1Json("v1 REST", "v1"), V1Json("v1 REST tensor", "v1", form="tensor")]
    grpc: list[Encoder] = [V1Proto("v1 gRPC", "v1")]
    if has_infer:
        rest += [V2Json("V2 REST", "v2"), V2Binary("V2 REST binary", "v2")]
        grpc += [V2Proto("V2 gRPC", "v2", model=model)]
    return [*(rest if has_rest else ()), *(grpc if has_grpc else ())]
