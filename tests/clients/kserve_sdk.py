"""Checks of KServe's SDK: ``python -m tests.clients.kserve_sdk CHECK HTTP_PORT GRPC_PORT``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any

arguments = sys.argv[1:]
sys.argv[1:] = []  # the import of kserve parses it

import grpc  # noqa: E402
import httpx  # noqa: E402
from kserve import (  # noqa: E402
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput  # noqa: E402

from tests.clients.values import BYTES, HALVES, NUMBERS, TEXTS, Array, check_equal  # noqa: E402

MODEL = "echo"
BINARY = {**NUMBERS, "FP16": HALVES["FP16"], "BYTES": TEXTS}
TYPED = {**NUMBERS, "BYTES": TEXTS}
JSON = {**TYPED, "FP32": NUMBERS["FP32"][:, :5], "FP64": NUMBERS["FP64"][:, :5]}  # the client sends infinity as null


def make_request(arrays: dict[str, Array], *, is_binary: bool, **more: Any) -> Any:
    inputs = []
    for name, array in arrays.items():
        inputs.append(InferInput(name, list(array.shape), name))
        inputs[-1].set_data_from_numpy(array, binary_data=is_binary)
    return InferRequest(MODEL, inputs, **more)


def compare(arrays: dict[str, Array], response: Any, what: str) -> None:
    outputs = {output.name: output for output in response.outputs}
    assert list(outputs) == list(arrays), f"{what}: {list(outputs)}"
    for name, array in arrays.items():
        check_equal(array, outputs[name].as_numpy(), f"{what} {name}")


async def fails(awaitable: Awaitable[Any], error_type: type[Exception]) -> Any:
    try:
        await awaitable
    except error_type as error:
        return error
    raise AssertionError("no error")


async def check_rest_binary(url: str, _address: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    for name, array in BINARY.items():
        request = make_request({name: array}, is_binary=True, parameters={"binary_data_output": True})
        compare({name: array}, await client.infer(url, request, MODEL), "binary")
    request = make_request(BINARY, is_binary=True, parameters={"binary_data_output": True})
    compare(BINARY, await client.infer(url, request, MODEL), "binary, together")


async def check_rest_json(url: str, _address: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    for name, array in JSON.items():
        compare({name: array}, await client.infer(url, make_request({name: array}, is_binary=False), MODEL), "JSON")
    compare(JSON, await client.infer(url, make_request(JSON, is_binary=False), MODEL), "JSON, together")


async def check_rest_both_forms(url: str, _address: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    arrays = {name: BINARY[name] for name in ("FP32", "INT64", "BYTES")}
    compare(arrays, await client.infer(url, make_request(arrays, is_binary=True), MODEL), "binary to JSON")
    outputs = [RequestedOutput("INT64", {"binary_data": True}), RequestedOutput("FP32", {"binary_data": False})]
    arrays = {name: JSON[name] for name in arrays}
    response = await client.infer(url, make_request(arrays, is_binary=False, request_outputs=outputs), MODEL)
    compare({name: arrays[name] for name in ("INT64", "FP32")}, response, "JSON to both")


async def check_rest_empty(url: str, _address: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    for name, array in BINARY.items():
        response = await client.infer(url, make_request({name: array[:0]}, is_binary=True), MODEL)
        compare({name: array[:0]}, response, "empty")


async def check_rest_metadata(url: str, _address: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(url)
    assert await client.is_server_ready(url)
    assert await client.is_model_ready(url, MODEL)


async def check_rest_id(url: str, _address: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    request = make_request({"INT8": NUMBERS["INT8"]}, is_binary=False, request_id="é-1")
    response = await client.infer(url, request, MODEL)
    assert (response.id, response.model_name) == ("é-1", MODEL)


async def check_rest_errors(url: str, _address: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    request = make_request({"INT8": NUMBERS["INT8"]}, is_binary=False)
    failing = make_request({"INT8": NUMBERS["INT8"]}, is_binary=False, parameters={"fail": "now"})
    for model, given, status, text in (("other", request, 404, "other"), (MODEL, failing, 500, "failed: now")):
        error = await fails(client.infer(url, given, model), httpx.HTTPStatusError)
        assert error.response.status_code == status, str(error)
        assert text in str(error).partition(f"{status}")[0], str(error)


async def check_grpc_raw(_url: str, address: str) -> None:
    async with InferenceGRPCClient(address) as client:
        arrays = {**NUMBERS, "FP16": HALVES["FP16"], "BYTES": BYTES}
        for name, array in arrays.items():
            compare({name: array}, await client.infer(make_request({name: array}, is_binary=True)), "raw")
        compare(arrays, await client.infer(make_request(arrays, is_binary=True)), "raw, together")


async def check_grpc_typed(_url: str, address: str) -> None:
    async with InferenceGRPCClient(address) as client:
        for name, array in TYPED.items():
            compare({name: array}, await client.infer(make_request({name: array}, is_binary=False)), "typed")
        compare(TYPED, await client.infer(make_request(TYPED, is_binary=False)), "typed, together")


async def check_grpc_metadata(_url: str, address: str) -> None:
    async with InferenceGRPCClient(address) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready(MODEL)


async def check_grpc_errors(_url: str, address: str) -> None:
    failing = make_request({"INT8": NUMBERS["INT8"]}, is_binary=True, parameters={"fail": "now"})
    unknown = make_request({"INT8": NUMBERS["INT8"]}, is_binary=True)
    unknown.model_name = "other"
    async with InferenceGRPCClient(address) as client:
        for given, code, text in (
            (failing, grpc.StatusCode.INTERNAL, "failed: now"),
            (unknown, grpc.StatusCode.NOT_FOUND, "other"),
        ):
            error = await fails(client.infer(given), grpc.RpcError)
            assert error.code() == code, error
            assert text in error.details(), error


def main(check: str, http_port: str, grpc_port: str) -> None:
    asyncio.run(globals()[check](f"http://127.0.0.1:{http_port}", f"127.0.0.1:{grpc_port}"))


if __name__ == "__main__":
    main(*arguments)
