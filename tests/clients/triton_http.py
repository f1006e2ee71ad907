"""Checks of ``tritonclient.http`` and its aio variant: ``python -m tests.clients.triton_http CHECK HTTP_PORT GRPC_PORT``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import tritonclient.http as client_module
import tritonclient.http.aio as aio_module
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.clients.values import BYTES, HALVES, NUMBERS, TEXTS, Array, check_equal

MODEL = "echo"
ALL = {**NUMBERS, **HALVES, "BYTES": BYTES}
JSON = {**NUMBERS, "BYTES": TEXTS}


def make_input(name: str, datatype: str, array: Array, *, is_binary: bool) -> Any:
    tensor = client_module.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=is_binary)
    return tensor


def make_inputs(arrays: dict[str, Array], *, is_binary: bool) -> list[Any]:
    return [make_input(name, name, array, is_binary=is_binary) for name, array in arrays.items()]


def request_all(arrays: dict[str, Array], *, is_binary: bool) -> list[Any]:
    return [client_module.InferRequestedOutput(name, binary_data=is_binary) for name in arrays]


def compare(arrays: dict[str, Array], result: Any, what: str) -> None:
    for name, array in arrays.items():
        check_equal(array, result.as_numpy(name), f"{what} {name}")


def round_trip(client: Any, arrays: dict[str, Array], what: str, *, sends_binary: bool, gets_binary: bool) -> None:
    """Send each array alone, then all of them in one request."""
    for name, array in arrays.items():
        one = {name: array}
        inputs, outputs = make_inputs(one, is_binary=sends_binary), request_all(one, is_binary=gets_binary)
        compare(one, client.infer(MODEL, inputs, outputs=outputs), what)
    inputs, outputs = make_inputs(arrays, is_binary=sends_binary), request_all(arrays, is_binary=gets_binary)
    compare(arrays, client.infer(MODEL, inputs, outputs=outputs), f"{what}, together")


def fails(call: Callable[[], Any]) -> InferenceServerException:
    try:
        call()
    except InferenceServerException as error:
        return error
    raise AssertionError("no error")


def check_binary(client: Any) -> None:
    round_trip(client, ALL, "binary", sends_binary=True, gets_binary=True)


def check_json(client: Any) -> None:
    round_trip(client, JSON, "JSON", sends_binary=False, gets_binary=False)


def check_binary_to_json(client: Any) -> None:
    arrays = {**JSON, "FP16": HALVES["FP16"]}
    round_trip(client, arrays, "binary to JSON", sends_binary=True, gets_binary=False)


def check_json_to_binary(client: Any) -> None:
    round_trip(client, JSON, "JSON to binary", sends_binary=False, gets_binary=True)


def check_no_requested_outputs(client: Any) -> None:
    compare(ALL, client.infer(MODEL, make_inputs(ALL, is_binary=True)), "default outputs")
    compare(JSON, client.infer(MODEL, make_inputs(JSON, is_binary=False)), "default outputs of JSON")


def check_mixed_forms(client: Any) -> None:
    arrays = {"FP32": NUMBERS["FP32"], "INT64": NUMBERS["INT64"], "BYTES": TEXTS, "FP64": NUMBERS["FP64"]}
    inputs = [make_input(n, n, a, is_binary=i % 2 == 0) for i, (n, a) in enumerate(arrays.items())]
    outputs = [client_module.InferRequestedOutput(n, binary_data=i % 2 == 1) for i, n in enumerate(arrays)]
    compare(arrays, client.infer(MODEL, inputs, outputs=outputs), "mixed")


def check_empty(client: Any) -> None:
    arrays = {name: array[:0] for name, array in ALL.items()}
    round_trip(client, arrays, "empty", sends_binary=True, gets_binary=True)


def check_shapes(client: Any) -> None:
    for shape in ([6], [1, 6], [3, 2, 1], [1, 1, 1, 1, 6]):
        array = np.arange(6, dtype=np.float32).reshape(shape)
        compare({"x": array}, client.infer(MODEL, [make_input("x", "FP32", array, is_binary=True)]), str(shape))


def check_large(client: Any) -> None:
    array = np.random.default_rng(0).random((1000, 1000))
    compare({"x": array}, client.infer(MODEL, [make_input("x", "FP64", array, is_binary=True)]), "8 MB")


def check_requested_outputs(client: Any) -> None:
    inputs = make_inputs({"FP32": NUMBERS["FP32"], "INT8": NUMBERS["INT8"]}, is_binary=True)
    result = client.infer(MODEL, inputs, outputs=request_all({"INT8": NUMBERS["INT8"]}, is_binary=True))
    assert [output["name"] for output in result.get_response()["outputs"]] == ["INT8"]
    error = fails(lambda: client.infer(MODEL, inputs, outputs=request_all({"none": NUMBERS["INT8"]}, is_binary=True)))
    assert error.status() == "400", error.status()
    assert "none" in error.message(), error.message()


def check_id_version_and_parameters(client: Any) -> None:
    inputs = make_inputs({"INT8": NUMBERS["INT8"]}, is_binary=True)
    response = client.infer(MODEL, inputs, request_id="é-1", model_version="1").get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("é-1", MODEL, "1")
    assert "id" not in client.infer(MODEL, inputs).get_response()
    given = {"show_parameters": True, "text": "é", "number": 5, "float": 0.5}
    result = client.infer(MODEL, inputs, parameters=given)
    assert result.as_numpy("parameters").tolist() == [repr(sorted(given.items())).encode()]
    client.infer(MODEL, inputs, priority=3, timeout=1_000_000)


def check_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready("other")
    server = client.get_server_metadata()
    assert server["name"] == "seldon-spec"
    assert "binary_tensor_data" in server["extensions"]
    model = client.get_model_metadata(MODEL)
    assert (model["name"], model["versions"], model["platform"]) == (MODEL, ["1"], "seldon_python")
    assert (model["inputs"], model["outputs"]) == ([], [])
    (entry,) = client.get_model_repository_index()
    assert (entry["name"], entry["version"], entry["state"]) == (MODEL, "1", "READY")
    client.infer(MODEL, make_inputs({"INT8": NUMBERS["INT8"]}, is_binary=True))
    (statistics,) = client.get_inference_statistics(MODEL)["model_stats"]
    assert statistics["inference_stats"]["success"]["count"] >= 1


def check_errors(client: Any) -> None:
    inputs = make_inputs({"INT8": NUMBERS["INT8"]}, is_binary=True)
    cases = [
        (lambda: client.infer("other", inputs), "404", "other"),
        (lambda: client.infer(MODEL, inputs, model_version="9"), "404", "9"),
        (lambda: client.infer(MODEL, inputs * 2), "400", "INT8"),
        (lambda: client.infer(MODEL, inputs, parameters={"fail": "now"}), "500", "failed: now"),
        (lambda: client.get_model_metadata("other"), "404", "other"),
        (lambda: client.get_model_config(MODEL), "404", ""),
        (lambda: client.load_model(MODEL), "404", ""),
    ]
    for call, status, text in cases:
        error = fails(call)
        assert error.status() == status, (error.status(), error.message())
        assert text in error.message(), error.message()


def check_compression(client: Any) -> None:
    for algorithm in ("gzip", "deflate"):
        inputs = make_inputs(ALL, is_binary=True)
        result = client.infer(
            MODEL, inputs, request_compression_algorithm=algorithm, response_compression_algorithm=algorithm
        )
        compare(ALL, result, algorithm)


def check_async_infer(client: Any) -> None:
    pending = [client.async_infer(MODEL, make_inputs({n: a}, is_binary=True)) for n, a in ALL.items()]
    for (name, array), call in zip(ALL.items(), pending, strict=True):
        compare({name: array}, call.get_result(), "async")


async def fails_later(awaitable: Awaitable[Any]) -> InferenceServerException:
    try:
        await awaitable
    except InferenceServerException as error:
        return error
    raise AssertionError("no error")


async def check_aio(client: Any) -> None:
    """Check the variant that always sends ``Accept-Encoding: gzip, deflate`` and reads most bodies undecoded."""
    assert await client.is_server_live()
    assert await client.is_model_ready(MODEL)
    assert (await client.get_server_metadata())["name"] == "seldon-spec"
    assert (await client.get_model_metadata(MODEL))["name"] == MODEL
    assert len(await client.get_model_repository_index()) == 1
    for arrays, is_binary in ((ALL, True), (JSON, False)):
        for name, array in arrays.items():
            compare({name: array}, await client.infer(MODEL, make_inputs({name: array}, is_binary=is_binary)), "aio")
    array = np.zeros((1000, 100))
    compare({"x": array}, await client.infer(MODEL, [make_input("x", "FP64", array, is_binary=False)]), "aio, large")
    inputs = make_inputs({"INT8": NUMBERS["INT8"]}, is_binary=True)
    error = await fails_later(client.infer(MODEL, inputs, parameters={"fail": "x" * 1000}))
    assert "failed: xxx" in error.message(), error.message()


def check_datatype_names(client: Any) -> None:
    result = client.infer(MODEL, make_inputs(ALL, is_binary=True)).get_response()
    assert {output["name"]: output["datatype"] for output in result["outputs"]} == {name: name for name in ALL}
    assert {np_to_triton_dtype(array.dtype) for array in NUMBERS.values()} == set(NUMBERS)


def main(check: str, http_port: str, _grpc_port: str) -> None:
    run = globals()[check]
    url = f"127.0.0.1:{http_port}"
    if asyncio.iscoroutinefunction(run):

        async def run_aio() -> None:
            async with aio_module.InferenceServerClient(url) as client:
                await run(client)

        asyncio.run(run_aio())
        return
    client = client_module.InferenceServerClient(url, concurrency=4)
    try:
        run(client)
    finally:
        client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
