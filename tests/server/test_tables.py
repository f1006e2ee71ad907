"""DataFrames and images as arguments and results over both protocols and all their encodings."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pandas
import pytest
from PIL import Image

from seldon_spec.config.loader import load
from seldon_spec.inference.datatypes import find_datatype
from seldon_spec.protocols.open_inference_v2.binary import make_objects, write_binary
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, ModelInferResponse
from seldon_spec.protocols.open_inference_v2.proto_message import CONTENTS
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

if TYPE_CHECKING:
    from tests.conftest import Running

Serve = Callable[[str, str], "Running"]


@pytest.fixture(scope="module")
def serve(
    tmp_path_factory: pytest.TempPathFactory, serve_in_thread: Callable[..., AbstractContextManager[Running]]
) -> Iterator[Serve]:
    """Serve the class ``Model`` of a source with a contract, in YAML; equal ones share a server."""
    started: dict[tuple[str, str], Running] = {}
    with contextlib.ExitStack() as stack:

        def begin(source: str, contract: str) -> Running:
            if (source, contract) not in started:
                name = f"Tables{len(started)}"
                folder = tmp_path_factory.mktemp("tables")
                (folder / f"{name}.py").write_text(source.replace("Model", name))
                (folder / "seldon.yaml").write_text(f"class_name: {name}\nname: model\n{contract}")
                spec = load(folder, {})
                running = stack.enter_context(serve_in_thread(folder, name, inputs=spec.inputs, outputs=spec.outputs))
                started[source, contract] = running
            return started[source, contract]

        yield begin
    for index in range(len(started)):
        sys.modules.pop(f"Tables{index}", None)


# Clients: each sends a table or images, and returns the elements of the only output


def outputs_of(tree: Any, binary: bytes = b"") -> list[Any]:
    (output,) = tree["outputs"]
    size = output.get("parameters", {}).get("binary_data_size")
    if size is None:
        return list(output["data"])
    assert size == len(binary)
    return list(split(binary))


def split(binary: bytes) -> Iterator[bytes]:
    while binary:
        end = 4 + int.from_bytes(binary[:4], "little")
        yield binary[4:end]
        binary = binary[end:]


def read_v1(status: int, tree: Any) -> list[Any]:
    assert status == 200, tree
    if "strData" in tree:
        return [tree["strData"]]
    return [tree["binData"]] if "binData" in tree else list(tree["data"]["ndarray"])


def ask_v1_rest(running: Running, columns: dict[str, Any]) -> list[Any]:
    tree = {"data": {"names": list(columns), "ndarray": rows_of(columns)}}
    status, _, body = running.post(json.dumps(tree).encode())
    return read_v1(status, json.loads(body))


def ask_v1_grpc(running: Running, columns: dict[str, Any]) -> list[Any]:
    message = SeldonMessage()
    message.data.names.extend(columns)
    message.data.ndarray.extend(rows_of(columns))
    answer = SeldonMessage.FromString(running.call(message.SerializeToString()))
    member = answer.WhichOneof("data_oneof")
    return list(answer.data.ndarray) if member == "data" else [getattr(answer, member)]


def ask_v2_json(running: Running, columns: dict[str, Any]) -> list[Any]:
    inputs = [{**describe(name, values), "data": values} for name, values in columns.items()]
    status, _, body = running.post(json.dumps({"inputs": inputs}).encode(), "/v2/models/model/infer")
    assert status == 200, body
    return outputs_of(json.loads(body))


def ask_v2_binary(running: Running, columns: dict[str, Any]) -> list[Any]:
    binary = [bytes(raw(values)) for values in columns.values()]
    inputs = [
        {**describe(name, values), "parameters": {"binary_data_size": len(data)}}
        for (name, values), data in zip(columns.items(), binary, strict=True)
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    status, headers, body = running.rest(
        "POST",
        "/v2/models/model/infer",
        head + b"".join(binary),
        {"Inference-Header-Content-Length": str(len(head))},
    )
    assert status == 200, body
    size = int(headers["Inference-Header-Content-Length"])
    return outputs_of(json.loads(body[:size]), body[size:])


def ask_v2_grpc(running: Running, columns: dict[str, Any], *, is_raw: bool = False) -> list[Any]:
    request = ModelInferRequest(model_name="model")
    for name, values in columns.items():
        entry = request.inputs.add(**describe(name, values))
        if is_raw:
            request.raw_input_contents.append(bytes(raw(values)))
        else:
            elements = [value.encode() if isinstance(value, str) else value for value in values]
            getattr(entry.contents, CONTENTS[entry.datatype]).extend(elements)
    wire = running.call(request.SerializeToString(), "/inference.GRPCInferenceService/ModelInfer")
    response = ModelInferResponse.FromString(wire)
    return list(split(response.raw_output_contents[0]) if is_raw else response.outputs[0].contents.bytes_contents)


def ask_v2_grpc_raw(running: Running, columns: dict[str, Any]) -> list[Any]:
    return ask_v2_grpc(running, columns, is_raw=True)


def rows_of(columns: dict[str, Any]) -> list[Any]:
    """The rows of a table; a single column is a list of elements."""
    if len(columns) == 1:
        return next(iter(columns.values()))
    plain = [[None if value != value else value for value in values] for values in columns.values()]
    return [list(row) for row in zip(*plain, strict=True)]


def datatype_of(values: list[Any]) -> str:
    return {int: "INT64", float: "FP64", bool: "BOOL"}.get(type(values[0]), "BYTES")


def describe(name: str, values: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype_of(values), "shape": [len(values)]}


def raw(values: list[Any]) -> Any:
    datatype = find_datatype(datatype_of(values))
    if datatype.name == "BYTES":
        return write_binary(make_objects([v.encode() if isinstance(v, str) else v for v in values]), datatype)
    return write_binary(np.array(values, datatype.dtype), datatype)


V1 = {"v1-rest": ask_v1_rest, "v1-grpc": ask_v1_grpc}
V2 = {
    "v2-json": ask_v2_json,
    "v2-binary": ask_v2_binary,
    "v2-grpc": ask_v2_grpc,
    "v2-grpc-raw": ask_v2_grpc_raw,
}
ALL: dict[str, Callable[[Any, dict[str, Any]], list[Any]]] = {**V1, **V2}


# Tables

PANDAS = """
import json
import pandas as pd

class Model:
    def predict(self, X: pd.DataFrame, names):
        shown = [[None if pd.isna(value) else value for value in X[name].tolist()] for name in names]
        return json.dumps({"types": [str(kind) for kind in X.dtypes], "names": names, "values": shown})
"""
POLARS = """
from __future__ import annotations
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

class Model:
    def predict(self, X: pl.DataFrame, names):
        shown = [column.to_list() for column in X]
        return json.dumps({"types": [str(kind) for kind in X.dtypes], "names": names, "values": shown})
"""
DECLARED = PANDAS.replace(": pd.DataFrame", "")
CONTRACT = """\
inputs:
- {name: n, datatype: INT64, shape: [-1]}
- {name: p, datatype: FP64, shape: [-1], optional: true}
- {name: t, datatype: BYTES, shape: [-1], content_type: str}
- {name: b, datatype: BOOL, shape: [-1]}
"""
AS_TABLE = CONTRACT.replace("name: n,", "name: n, as: dataframe,")
COLUMNS: dict[str, list[Any]] = {"n": [1, 2], "p": [0.5, np.nan], "t": ["a", "é"], "b": [True, False]}
TEXT = str(pandas.Series([""]).dtype)
TYPES = ["int64", "float64", TEXT, "bool"]
KINDS: dict[str, tuple[str, str, list[str]]] = {
    "pandas": (PANDAS, "", TYPES),
    "pandas-with-a-contract": (PANDAS, CONTRACT, TYPES),
    "declared": (DECLARED, AS_TABLE, TYPES),
    "polars": (POLARS, "", ["Int64", "Float64", "String", "Boolean"]),
}


@pytest.mark.parametrize(("source", "contract", "types"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("ask", ALL.values(), ids=ALL)
def test_a_table_keeps_the_types_of_its_columns(
    ask: Callable[[Any, Any], list[Any]], source: str, contract: str, types: list[str], serve: Serve
) -> None:
    (text,) = ask(serve(source, contract), COLUMNS)
    found = json.loads(text)
    shown = [[None if value != value else value for value in values] for values in COLUMNS.values()]
    assert (found["names"], found["values"]) == (list(COLUMNS), shown)
    if ask is ask_v1_grpc and not contract:  # its only numbers are doubles
        types = [types[1], *types[1:]]
    assert found["types"] == types


@pytest.mark.parametrize("ask", V1.values(), ids=V1)
def test_a_null_does_not_change_the_type_of_a_column(ask: Callable[[Any, Any], list[Any]], serve: Serve) -> None:
    (text,) = ask(serve(PANDAS, ""), {"n": [1, None], "b": [True, None], "t": ["a", None]})
    found = json.loads(text)
    assert found["types"] == ["Int64" if ask is ask_v1_rest else "float64", "boolean", TEXT]
    assert found["values"] == [[1, None], [True, None], ["a", None]]


@pytest.mark.parametrize("ask", ALL.values(), ids=ALL)
def test_an_optional_input_that_is_absent_is_a_column(ask: Callable[[Any, Any], list[Any]], serve: Serve) -> None:
    (text,) = ask(serve(PANDAS, CONTRACT), {name: values for name, values in COLUMNS.items() if name != "p"})
    found = json.loads(text)
    assert (found["names"], found["types"], found["values"][1]) == (list(COLUMNS), TYPES, [None, None])


MATRIX = """\
inputs: [{name: x, datatype: INT64, shape: [-1, 2], columns: [{name: a, optional: true}, {name: b}]}]
"""


@pytest.mark.parametrize("ask", V1.values(), ids=V1)
def test_a_null_in_a_declared_column(ask: Callable[[Any, Any], list[Any]], serve: Serve) -> None:
    (text,) = ask(serve(PANDAS, MATRIX), {"b": [2, 3], "a": [None, 1]})
    assert json.loads(text) == {"types": ["Int64", "int64"], "names": ["a", "b"], "values": [[None, 1], [2, 3]]}
    entry = {"name": "x", "datatype": "INT64", "shape": [2, 2], "data": [None, 2, 1, 3]}
    body = json.dumps({"inputs": [entry]}).encode()
    status, _, answer = serve(PANDAS, MATRIX).post(body, "/v2/models/model/infer")
    assert (status, outputs_of(json.loads(answer))) == (200, [text])


# Images

FLIP = """
from PIL import Image, ImageOps

class Model:
    def predict(self, X: Image.Image, names):
        return ImageOps.mirror(X)
"""
FLIP_ALL = """
from PIL import Image, ImageOps

class Model:
    def predict(self, X: list[Image.Image], names):
        return [ImageOps.mirror(image) for image in X]
"""
FLIP_FILES = """
import io
from PIL import Image, ImageOps

class Model:
    def infer(self, inputs: dict):
        images = [ImageOps.mirror(Image.open(io.BytesIO(image))) for image in inputs["photo"]]
        return {"flipped": images}
"""
IMAGES = """\
inputs: [{name: photo, datatype: BYTES, shape: [-1], content_type: image/png}]
outputs: [{name: flipped, datatype: BYTES, shape: [-1], content_type: image/png}]
"""
RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(*colours: tuple[int, int, int]) -> bytes:
    image = Image.new("RGB", (len(colours), 1))
    image.putdata(colours)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def pixels(element: Any) -> list[Any]:
    """The pixels of an image file, which is base64 in JSON."""
    data = base64.b64decode(element) if isinstance(element, str) else bytes(element)
    assert data.startswith(b"\x89PNG")
    image = Image.open(io.BytesIO(data))
    return [image.getpixel((x, 0)) for x in range(image.width)]


def form_of(ask: object, image: bytes) -> Any:
    is_text = ask in (ask_v1_rest, ask_v1_grpc, ask_v2_json)
    return base64.b64encode(image).decode() if is_text else image


@pytest.mark.parametrize("contract", ["", IMAGES], ids=["no-contract", "contract"])
@pytest.mark.parametrize("ask", ALL.values(), ids=ALL)
def test_an_image_in_and_out(ask: Callable[[Any, Any], list[Any]], contract: str, serve: Serve) -> None:
    image = picture(RED, BLUE, BLUE)
    (found,) = ask(serve(FLIP, contract), {"photo": [form_of(ask, image)]})
    assert pixels(found) == [BLUE, BLUE, RED]
    several = ask(serve(FLIP_ALL, contract), {"photo": [form_of(ask, image), form_of(ask, picture(RED))]})
    assert [pixels(each) for each in several] == [[BLUE, BLUE, RED], [RED]]


def test_an_image_as_binary_data_of_seldon_s_protocol(serve: Serve) -> None:
    running, image = serve(FLIP, ""), picture(RED, BLUE)
    status, _, body = running.post(json.dumps({"binData": base64.b64encode(image).decode()}).encode())
    assert pixels(*read_v1(status, json.loads(body))) == [BLUE, RED]
    answer = SeldonMessage.FromString(running.call(SeldonMessage(binData=image).SerializeToString()))
    assert pixels(answer.binData) == [BLUE, RED]


@pytest.mark.parametrize("ask", [ask_v2_binary, ask_v2_grpc, ask_v2_grpc_raw], ids=["binary", "grpc", "grpc-raw"])
def test_the_elements_of_infer_are_files(ask: Callable[[Any, Any], list[Any]], serve: Serve) -> None:
    (found,) = ask(serve(FLIP_FILES, IMAGES), {"photo": [picture(RED, BLUE)]})
    assert pixels(found) == [BLUE, RED]


def test_an_output_that_is_declared_an_image_is_base64_in_json(serve: Serve) -> None:
    data = write_binary(make_objects([picture(RED, BLUE)]), find_datatype("BYTES"))
    entry = {**describe("photo", [b""]), "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [entry]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    status, _, body = serve(FLIP_FILES, IMAGES).rest("POST", "/v2/models/model/infer", head + bytes(data), headers)
    assert status == 200, body
    (output,) = json.loads(body)["outputs"]
    assert (output["name"], output["shape"], output["parameters"]) == ("flipped", [1], {"content_type": "image/png"})
    assert pixels(output["data"][0]) == [BLUE, RED]


def test_the_declared_content_type_is_the_format_of_a_result(serve: Serve) -> None:
    running = serve(
        FLIP, IMAGES.replace("shape: [-1], content_type: image/png}]\no", "shape: [1]}]\no").replace("png", "jpeg")
    )
    status, _, body = running.post(json.dumps({"binData": base64.b64encode(picture(RED)).decode()}).encode())
    assert base64.b64decode(read_v1(status, json.loads(body))[0]).startswith(b"\xff\xd8\xff")


def test_an_input_that_is_no_image_is_an_error_of_the_client(serve: Serve) -> None:
    running = serve(FLIP, IMAGES)
    status, _, body = running.post(b'{"strData": "hello"}')
    info = json.loads(body)["status"]["info"]
    assert (status, info.startswith("invalid request: input photo: element [0]: not an image: ")) == (400, True)
    entry = {"name": "photo", "datatype": "BYTES", "shape": [2], "data": [base64.b64encode(picture(RED)).decode()] * 2}
    status, _, body = running.post(json.dumps({"inputs": [entry]}).encode(), "/v2/models/model/infer")
    assert (status, json.loads(body)) == (400, {"error": "the model takes one image per request; found 2"})
    with pytest.raises(grpc.RpcError) as raised:
        ask_v2_grpc(running, {"photo": [b"hello"]})
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
