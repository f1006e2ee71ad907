"""Checks of ``tritonclient.grpc`` and its aio variant: ``python -m tests.clients.triton_grpc CHECK HTTP_PORT GRPC_PORT``."""

from __future__ import annotations

import asyncio
import queue
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import tritonclient.grpc as client_module
import tritonclient.grpc.aio as aio_module
from tritonclient.utils import InferenceServerException

from tests.clients.values import BYTES, HALVES, NUMBERS, TEXTS, Array, check_equal

MODEL = "echo"
ALL = {**NUMBERS, **HALVES, "BYTES": BYTES}


def make_inputs(arrays: dict[str, Array]) -> list[Any]:
    tensors = []
    for name, array in arrays.items():
        tensors.append(client_module.InferInput(name, list(array.shape), name))
        tensors[-1].set_data_from_numpy(array)
    return tensors


def compare(arrays: dict[str, Array], result: Any, what: str) -> None:
    for name, array in arrays.items():
        check_equal(array, result.as_numpy(name), f"{what} {name}")


def fails(call: Callable[[], Any]) -> InferenceServerException:
    try:
        call()
    except InferenceServerException as error:
        return error
    raise AssertionError("no error")


def check_datatypes(client: Any) -> None:
    for name, array in ALL.items():
        compare({name: array}, client.infer(MODEL, make_inputs({name: array})), "alone")
    compare(ALL, client.infer(MODEL, make_inputs(ALL)), "together")
    compare({"BYTES": TEXTS}, client.infer(MODEL, make_inputs({"BYTES": TEXTS})), "text")


def check_empty(client: Any) -> None:
    arrays = {name: array[:0] for name, array in ALL.items()}
    compare(arrays, client.infer(MODEL, make_inputs(arrays)), "empty")


def check_large(client: Any) -> None:
    arrays = {"FP64": np.random.default_rng(0).random((400, 1000))}
    compare(arrays, client.infer(MODEL, make_inputs(arrays)), "3 MB")


def check_requested_outputs(client: Any) -> None:
    inputs = make_inputs({"FP32": NUMBERS["FP32"], "INT8": NUMBERS["INT8"], "BYTES": BYTES})
    outputs = [client_module.InferRequestedOutput(name) for name in ("BYTES", "FP32")]
    result = client.infer(MODEL, inputs, outputs=outputs)
    assert [output.name for output in result.get_response().outputs] == ["BYTES", "FP32"]
    compare({"BYTES": BYTES, "FP32": NUMBERS["FP32"]}, result, "requested")
    error = fails(lambda: client.infer(MODEL, inputs, outputs=[client_module.InferRequestedOutput("none")]))
    assert error.status() == "StatusCode.INVALID_ARGUMENT", error.status()


def check_id_version_and_parameters(client: Any) -> None:
    inputs = make_inputs({"INT8": NUMBERS["INT8"]})
    response = client.infer(MODEL, inputs, request_id="é-1", model_version="1").get_response()
    assert (response.id, response.model_name, response.model_version) == ("é-1", MODEL, "1")
    given = {"show_parameters": True, "text": "é", "number": 5, "float": 0.5}
    result = client.infer(MODEL, inputs, parameters=given)
    assert result.as_numpy("parameters").tolist() == [repr(sorted(given.items())).encode()]
    client.infer(MODEL, inputs, priority=3, timeout=1_000_000)


def check_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1")
    assert client.get_server_metadata().name == "seldon-spec"
    model = client.get_model_metadata(MODEL)
    assert (model.name, list(model.versions), model.platform) == (MODEL, ["1"], "seldon_python")
    (entry,) = client.get_model_repository_index().models
    assert (entry.name, entry.version, entry.state) == (MODEL, "1", "READY")
    client.infer(MODEL, make_inputs({"INT8": NUMBERS["INT8"]}))
    (statistics,) = client.get_inference_statistics(MODEL).model_stats
    assert statistics.inference_stats.success.count >= 1


def check_errors(client: Any) -> None:
    inputs = make_inputs({"INT8": NUMBERS["INT8"]})
    cases = [
        (lambda: client.infer("other", inputs), "NOT_FOUND", "other"),
        (lambda: client.infer(MODEL, inputs, model_version="9"), "NOT_FOUND", "9"),
        (lambda: client.infer(MODEL, inputs * 2), "INVALID_ARGUMENT", "INT8"),
        (lambda: client.infer(MODEL, inputs, parameters={"fail": "now"}), "INTERNAL", "failed: now"),
        (lambda: client.get_model_metadata("other"), "NOT_FOUND", "other"),
        (lambda: client.is_model_ready("other"), "NOT_FOUND", "other"),
        (lambda: client.get_model_config(MODEL), "UNIMPLEMENTED", ""),
        (lambda: client.load_model(MODEL), "UNIMPLEMENTED", ""),
    ]
    for call, status, text in cases:
        error = fails(call)
        assert error.status() == f"StatusCode.{status}", (error.status(), error.message())
        assert text in error.message(), error.message()


def check_compression(client: Any) -> None:
    for algorithm in ("gzip", "deflate"):
        compare(ALL, client.infer(MODEL, make_inputs(ALL), compression_algorithm=algorithm), algorithm)


def check_async_infer(client: Any) -> None:
    results: queue.Queue[tuple[Any, Any]] = queue.Queue()
    for name, array in ALL.items():
        client.async_infer(
            MODEL, make_inputs({name: array}), callback=lambda result, error: results.put((result, error))
        )
    for _ in ALL:
        result, error = results.get(timeout=30)
        assert error is None, error
        name = result.get_response().outputs[0].name
        compare({name: ALL[name]}, result, "async")


def check_stream(client: Any) -> None:
    """Send every datatype and a failing request on one stream; the responses come in order."""
    results: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(callback=lambda result, error: results.put((result, error)))
    for name, array in ALL.items():
        client.async_stream_infer(MODEL, make_inputs({name: array}), request_id=name)
    client.async_stream_infer(MODEL, make_inputs({"INT8": NUMBERS["INT8"]}), parameters={"fail": "now"})
    client.async_stream_infer(MODEL, make_inputs({"BYTES": BYTES}), request_id="last")
    for name, array in ALL.items():
        result, error = results.get(timeout=30)
        assert error is None, error
        assert result.get_response().id == name
        compare({name: array}, result, "stream")
    result, error = results.get(timeout=30)
    assert result is None
    assert "failed: now" in error.message(), error.message()
    result, error = results.get(timeout=30)
    assert error is None, error
    assert result.get_response().id == "last"
    client.stop_stream()


async def fails_later(awaitable: Awaitable[Any]) -> InferenceServerException:
    try:
        await awaitable
    except InferenceServerException as error:
        return error
    raise AssertionError("no error")


async def check_aio(client: Any) -> None:
    assert await client.is_server_live()
    assert (await client.get_model_metadata(MODEL)).name == MODEL
    for name, array in ALL.items():
        compare({name: array}, await client.infer(MODEL, make_inputs({name: array})), "aio")
    error = await fails_later(client.infer("other", make_inputs({"INT8": NUMBERS["INT8"]})))
    assert error.status() == "StatusCode.NOT_FOUND", error.status()


async def check_aio_stream(client: Any) -> None:
    async def requests() -> AsyncIterator[dict[str, Any]]:
        for name, array in ALL.items():
            yield {"model_name": MODEL, "inputs": make_inputs({name: array}), "request_id": name}

    found = []
    async for result, error in client.stream_infer(requests()):
        assert error is None, error
        name = result.get_response().id
        compare({name: ALL[name]}, result, "aio stream")
        found.append(name)
    assert found == list(ALL)


def main(check: str, _http_port: str, grpc_port: str) -> None:
    run = globals()[check]
    url = f"127.0.0.1:{grpc_port}"
    if asyncio.iscoroutinefunction(run):

        async def run_aio() -> None:
            async with aio_module.InferenceServerClient(url) as client:
                await run(client)

        asyncio.run(run_aio())
        return
    with client_module.InferenceServerClient(url) as client:
        run(client)


if __name__ == "__main__":
    main(*sys.argv[1:])
