"""Replacement for ``seldon_core.proto.prediction_pb2_grpc``: stubs and servicers, created from the schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from seldon_spec.compat.prediction_pb2 import DESCRIPTOR


def _make_stub(service: Any) -> type:
    """Create the stub class, whose instances have a callable for each method."""

    def __init__(self: Any, channel: Any) -> None:  # noqa: N807 - of the class below
        for method in service.methods:
            call = channel.unary_unary(
                f"/{service.full_name}/{method.name}",
                request_serializer=GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
            setattr(self, method.name, call)

    return type(f"{service.name}Stub", (), {"__init__": __init__, "__doc__": f"Stub of {service.full_name}."})


def _make_servicer(service: Any) -> type:
    """Create the servicer class, whose methods are unimplemented."""

    def refuse(_self: Any, _request: Any, context: Any) -> Any:
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details("Method not implemented!")
        raise NotImplementedError("Method not implemented!")

    methods = {method.name: refuse for method in service.methods}
    return type(f"{service.name}Servicer", (), {**methods, "__doc__": f"Servicer of {service.full_name}."})


def _make_adder(service: Any) -> Callable[[Any, Any], None]:
    def add(servicer: Any, server: Any) -> None:
        handlers = {
            method.name: grpc.unary_unary_rpc_method_handler(
                getattr(servicer, method.name),
                request_deserializer=GetMessageClass(method.input_type).FromString,
                response_serializer=GetMessageClass(method.output_type).SerializeToString,
            )
            for method in service.methods
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    return add


def _make_all() -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, service in DESCRIPTOR.services_by_name.items():
        made[f"{name}Stub"] = _make_stub(service)
        made[f"{name}Servicer"] = _make_servicer(service)
        made[f"add_{name}Servicer_to_server"] = _make_adder(service)
    return made


_MADE = _make_all()
globals().update(_MADE)
__all__ = sorted(_MADE)
