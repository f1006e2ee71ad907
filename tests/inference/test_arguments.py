"""What a method gets as X by its annotation or the declared inputs: tables, images and bytes."""

# ruff: noqa: ARG002, N803 - the signatures are those of the protocol

from __future__ import annotations

import base64
import functools
import io
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import numpy as np
import pandas
import polars
import pytest
from PIL import Image

from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.config.model import ServiceType, UnitSpec
from seldon_spec.errors import ComponentFailed, PayloadError
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.arguments import ArgumentType, find_argument, make_argument, make_table_of
from seldon_spec.inference.message import KeepRows, Message, Operation, PayloadType, Tensor, TensorMessage
from seldon_spec.inference.request import Request
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

KINDS = ArgumentType
JSON = JsonCodec()


def annotated(annotation: Any) -> Any:
    class Model:
        def predict(self, X: Any, names: Any) -> Any:
            return X

    Model.predict.__annotations__["X"] = annotation
    return Model()


ANNOTATIONS: dict[str, tuple[Any, ArgumentType | None]] = {
    "pandas": (pandas.DataFrame, KINDS.DATAFRAME),
    "polars": (polars.DataFrame, KINDS.POLARS),
    "image": (Image.Image, KINDS.IMAGE),
    "bytes": (bytes, KINDS.BYTES),
    "images": (list[Image.Image], KINDS.IMAGES),
    "old-list": (typing.List[bytes], KINDS.BYTES_LIST),  # noqa: UP006
    "sequence": (Sequence[bytes], KINDS.BYTES_LIST),
    "optional": (Optional[pandas.DataFrame], KINDS.DATAFRAME),  # noqa: UP045
    "text-of-a-known-name": ("pandas.DataFrame | None", KINDS.DATAFRAME),
    "text": ("pd.DataFrame", KINDS.DATAFRAME),
    "text-polars": ("pl.DataFrame", KINDS.POLARS),
    "text-image": ("PIL.Image.Image", KINDS.IMAGE),
    "text-images": ("typing_only.List[PIL.Image.Image]", KINDS.IMAGES),
    "text-optional": ("Optional_[int] | None", None),
    "text-optional-table": ("t.Optional[pd.DataFrame]", KINDS.DATAFRAME),
    "text-union": ("np_.ndarray | pd.DataFrame", None),
    "union-with-an-array": (Union[pandas.DataFrame, np.ndarray], None),  # noqa: UP007
    "union-with-a-list": (bytes | list[Any], None),
    "array": (np.ndarray, None),
    "list-of-numbers": (list[float], None),
    "list-of-tables": (list[pandas.DataFrame], None),
    "any": (Any, None),
    "other-table": ("DataFrame", None),
}


@pytest.mark.parametrize(("annotation", "expected"), ANNOTATIONS.values(), ids=ANNOTATIONS)
def test_an_annotation_decides_what_a_method_gets(annotation: Any, expected: ArgumentType | None) -> None:
    assert find_argument(annotated(annotation), "predict", ()) is expected


def test_the_parameter_that_gets_the_payload_counts() -> None:
    def wrap(method: Callable[..., Any]) -> Any:
        @functools.wraps(method)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return wrapper

    class Model:
        def predict(self, features_names: bytes, X: pandas.DataFrame) -> Any:
            return X

        def transform_input(self, *, X: bytes, names: Any) -> Any:
            return X

        @wrap
        def transform_output(self, X: polars.DataFrame, names: "Undefined") -> Any:  # type: ignore[name-defined] # noqa: F821, UP037
            return X

        def route(self) -> Any:
            return 0

        score = None

    found = {name: find_argument(Model(), name, ()) for name in ("transform_input", "transform_output")}
    assert found == {"transform_input": KINDS.BYTES, "transform_output": KINDS.POLARS}
    assert [find_argument(Model(), name, ()) for name in ("route", "score")] == [None, None]


def spec(name: str = "x", **more: Any) -> TensorSpec:
    return TensorSpec(name, more.pop("datatype", "FP64"), more.pop("shape", (-1,)), **more)


def test_the_declared_type_counts_without_an_annotation() -> None:
    inputs = [spec("a", as_="dataframe"), spec("b")]
    assert find_argument(annotated(Any), "predict", inputs) is KINDS.DATAFRAME
    assert find_argument(annotated(bytes), "predict", inputs) is KINDS.BYTES
    assert find_argument(annotated(Any), "predict", [spec(as_="polars")]) is KINDS.POLARS
    assert find_argument(annotated(Any), "predict", [spec(as_="array")]) is None
    assert find_argument(annotated(Any), "predict", [*inputs, spec("c", as_="polars")]) is None


def test_rows_are_kept_for_tables_only() -> None:
    assert Adapter(annotated(pandas.DataFrame), UnitSpec()).keeps_rows is KeepRows.ALWAYS
    declared = Adapter(annotated(pandas.DataFrame), UnitSpec(), inputs=[spec("a"), spec("b")])
    assert declared.keeps_rows is KeepRows.IF_MIXED
    for annotation in (np.ndarray, bytes, Image.Image):
        assert Adapter(annotated(annotation), UnitSpec()).keeps_rows is KeepRows.NEVER


# Tables


def table(message: Message, *inputs: TensorSpec, kind: ArgumentType = KINDS.DATAFRAME) -> Any:
    made = make_argument(kind, message, inputs)
    assert made.names == [str(name) for name in made.payload.columns]
    return made.payload


def dtypes(frame: Any) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in zip(frame.columns, frame.dtypes, strict=True)}


def rows(nested: list[Any], names: Sequence[str] = ()) -> Message:
    tree = {"data": {"ndarray": nested, "names": list(names)}}
    return JSON.read_message(Operation.PREDICT, tree, KeepRows.ALWAYS)


def texts(*items: Any) -> Any:
    return np.fromiter(items, dtype=object, count=len(items))


TEXT = str(pandas.Series([""]).dtype)


def test_rows_give_each_column_its_own_type() -> None:
    names = ["i", "f", "t", "b", "n"]
    frame = table(rows([[1, 2.5, "a", True, None], [2, 3, "b", False, None]], names))
    assert dtypes(frame) == {"i": "int64", "f": "float64", "t": TEXT, "b": "bool", "n": "object"}
    frame = table(rows([[1, 2.5, "a", True, "x"], [None, None, None, None, 1]], names))
    assert dtypes(frame) == {"i": "Int64", "f": "float64", "t": TEXT, "b": "boolean", "n": "object"}
    assert frame.isna().to_numpy().tolist() == [[False] * 5, [True] * 4 + [False]]
    assert frame["n"].tolist() == ["x", 1]


def test_columns_without_names_are_numbered() -> None:
    assert list(table(rows([[1, "a"]])).columns) == [0, 1]
    assert list(table(rows([[1, 2]])).columns) == [0, 1]
    assert list(table(rows([[1, "a"]]), kind=KINDS.POLARS).columns) == ["column_0", "column_1"]
    assert list(table(rows([[1, "a"]]), spec("p"), spec("q")).columns) == ["p", "q"]
    one = spec("m", shape=(-1, 2), columns=(ColumnSpec("p"), ColumnSpec("q")))
    assert list(table(rows([[1, 2]]), one).columns) == ["p", "q"]


def test_the_table_of_json_data() -> None:
    for tree in ({"a": [1, None], "b": ["x", "y"]}, [{"a": 1, "b": "x"}, {"b": "y"}]):
        frame = table(Message(PayloadType.JSON, tree))
        assert dtypes(frame) == {"a": "Int64", "b": TEXT}
        assert frame["b"].tolist() == ["x", "y"]


def test_no_rows_are_an_empty_table_with_its_columns() -> None:
    frame = table(rows([], ["a", "b"]))
    assert (list(frame.columns), len(frame)) == (["a", "b"], 0)
    tensors = [Tensor("i", np.zeros(0, np.int32)), Tensor("t", texts(), "BYTES")]
    frame = table(Message(PayloadType.TENSORS, tensors))
    assert (dtypes(frame), len(frame)) == ({"i": "int32", "t": TEXT}, 0)
    frame = table(Message(PayloadType.TENSORS, tensors), kind=KINDS.POLARS)
    assert (dtypes(frame), len(frame)) == ({"i": "Int32", "t": "String"}, 0)


NOT_TABLES: dict[str, tuple[Message, str]] = {
    "text": (Message(PayloadType.TEXT, "x"), "the model takes a table, and the request holds text"),
    "one-dimension": (rows([1, 2]), r"a table of rows, and the array has the shape \[2\]"),
    "three-dimensions": (rows([[[1]]]), r"the shape \[1, 1, 1\]"),
    "names": (rows([[1, 2]], ["a"]), "1 names of columns, and 2 values in a row"),
    "same-names": (rows([[1, 2]], ["a", "a"]), "two columns have the name 'a'"),
    "json": (Message(PayloadType.JSON, {"a": 1}), "a list of objects, or an object with a list for each column"),
    "json-lengths": (Message(PayloadType.JSON, {"a": [1], "b": []}), "differ in length"),
    "tensors": (Message(PayloadType.TENSORS, [Tensor("a", np.zeros((1, 2, 3)))]), "a table requires inputs of shape"),
}


@pytest.mark.parametrize(("message", "reason"), NOT_TABLES.values(), ids=NOT_TABLES)
def test_a_request_without_a_table_is_an_error(message: Message, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        table(message)


def test_tensors_keep_their_types_and_missing_values() -> None:
    tensors = [
        Tensor("i", np.ma.array(np.array([1, 0], np.int32), mask=[False, True]), "INT32"),
        Tensor("f", np.array([[1.5], [np.nan]], np.float32), "FP32"),
        Tensor("t", texts(b"a", None), "BYTES"),
        Tensor("b", np.ma.array([True, False], mask=[False, True]), "BOOL"),
        Tensor("w", np.array([0x3FC0, 0x4000], "<u2"), "BF16"),
    ]
    frame = table(Message(PayloadType.TENSORS, tensors))
    assert dtypes(frame) == {"i": "Int32", "f": "float32", "t": TEXT, "b": "boolean", "w": "float32"}
    assert frame.isna().to_numpy().tolist() == [[False] * 5, [True] * 4 + [False]]
    assert frame["w"].tolist() == [1.5, 2.0]
    frame = table(Message(PayloadType.TENSORS, tensors), kind=KINDS.POLARS)
    assert dtypes(frame) == {"i": "Int32", "f": "Float32", "t": "String", "b": "Boolean", "w": "Float32"}
    assert frame.rows() == [(1, 1.5, "a", True, 1.5), (None, None, None, None, 2.0)]


def test_a_tensor_of_rows_is_a_table() -> None:
    rows_of = Tensor("x", np.array([[1, 2], [3, 4]], np.int16))
    assert dtypes(make_table_of(rows_of, ["a", "b"])) == {"a": "int16", "b": "int16"}
    assert dtypes(make_table_of(rows_of, [], "polars")) == {"column_0": "Int16", "column_1": "Int16"}
    assert dtypes(make_table_of(Tensor("x", np.ones((2, 1))), ["a"])) == {"a": "float64"}


def test_a_table_belongs_to_the_class() -> None:
    sent = np.frombuffer(np.ones(4).tobytes()).reshape(2, 2)
    for tensors in ([Tensor("x", sent)], [Tensor("x", sent[:, 0]), Tensor("y", sent[:, 1])]):
        frame = table(Message(PayloadType.TENSORS, tensors))
        frame.iloc[0, 0] = 5
        assert sent[0, 0] == 1


def test_an_infer_method_gets_the_table_that_is_declared() -> None:
    class Model:
        def infer(self, inputs: dict[str, Any]) -> Any:
            return {"y": inputs["x"]["b"]}

    inputs = [spec("x", shape=(-1, 2), as_="dataframe", columns=(ColumnSpec("a"), ColumnSpec("b")))]
    message = TensorMessage(PayloadType.TENSORS, [Tensor("x", np.array([[1.0, 2.0]]), "FP64")])
    body = JsonCodec()
    body.has_tensors = True
    body.receive = lambda message, _keeps_rows: message  # type: ignore[method-assign, assignment, misc]
    response = Adapter(Model(), UnitSpec(), inputs=inputs).call(Request(Operation.PREDICT, message, body), list)  # type: ignore[arg-type]
    (output,) = response.message.payload
    assert (output.name, output.array.tolist()) == ("y", [2.0])


@pytest.mark.parametrize(
    ("kind", "module"), [(KINDS.DATAFRAME, "pandas"), (KINDS.POLARS, "polars"), (KINDS.IMAGE, "PIL.Image")]
)
def test_a_library_that_is_missing_is_named(kind: ArgumentType, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    message = rows([[1]]) if kind is not KINDS.IMAGE else Message(PayloadType.BINARY, picture())
    with pytest.raises(ComponentFailed, match=r"requires (pandas|polars|Pillow), which is not installed"):
        make_argument(kind, message, ())


# Images and bytes


def picture(file_format: str = "PNG", size: tuple[int, int] = (2, 1)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (250, 100, 0)).save(buffer, file_format)
    return buffer.getvalue()


def as_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


PNG = picture()
FORMS: dict[str, Message] = {
    "binary": Message(PayloadType.BINARY, PNG),
    "text": Message(PayloadType.TEXT, as_text(PNG)),
    "rows": rows([[as_text(PNG)]]),
    "list": rows([as_text(PNG)]),
    "json": Message(PayloadType.JSON, as_text(PNG)),
    "bytes": Message(PayloadType.TENSORS, [Tensor("x", texts(PNG), "BYTES")]),
    "base64": Message(PayloadType.TENSORS, [Tensor("x", texts(as_text(PNG).encode()), "BYTES")]),
    "two-dimensions": Message(PayloadType.TENSORS, [Tensor("x", texts(as_text(PNG)).reshape(1, 1), "BYTES")]),
}


@pytest.mark.parametrize("message", FORMS.values(), ids=FORMS)
def test_an_image_in_every_form(message: Message) -> None:
    image = make_argument(KINDS.IMAGE, message, ()).payload
    assert (image.size, image.getpixel((0, 0))) == ((2, 1), (250, 100, 0))
    declared = spec(datatype="BYTES", content_type="image/png")
    assert make_argument(KINDS.BYTES, message, [declared]).payload == PNG
    assert make_argument(KINDS.BYTES_LIST, message, [declared]).payload == [PNG]


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_images_of_every_usual_format(file_format: str) -> None:
    image = make_argument(KINDS.IMAGE, Message(PayloadType.TEXT, as_text(picture(file_format))), ()).payload
    assert (image.format, image.size) == (file_format, (2, 1))


def test_several_images() -> None:
    message = rows([as_text(PNG), as_text(picture("JPEG", (3, 3)))])
    assert [image.size for image in make_argument(KINDS.IMAGES, message, ()).payload] == [(2, 1), (3, 3)]
    with pytest.raises(PayloadError, match="the model takes one image per request; found 2"):
        make_argument(KINDS.IMAGE, message, ())


def test_bytes_without_an_image_type_are_the_element() -> None:
    assert make_argument(KINDS.BYTES, Message(PayloadType.TEXT, "é"), ()).payload == "é".encode()
    message = Message(PayloadType.TENSORS, [Tensor("x", texts(b"\xff", b"a"), "BYTES")])
    assert make_argument(KINDS.BYTES_LIST, message, ()).payload == [b"\xff", b"a"]
    with pytest.raises(PayloadError, match="the model takes one element per request; found 2"):
        make_argument(KINDS.BYTES, message, ())
    with pytest.raises(PayloadError, match="input input-0: element 0 is not bytes or text, but a float"):
        make_argument(KINDS.BYTES, rows([1.5]), ())


NOT_IMAGES: dict[str, tuple[Any, str]] = {
    "text": ("hello, world", "it has no signature of an image format and is not base64"),
    "unicode": ("é", "and is not base64"),
    "base64": (as_text(b"hello"), "it has no signature of an image format"),
    "truncated": (as_text(PNG[:40]), "element 0 is not an image"),
    "only-a-signature": (as_text(b"GIF89a"), "element 0 is not an image"),
    "unknown": (as_text(b"BM" + bytes(8)), "element 0 is not an image"),
    "number": (1.5, "it is a float"),
    "null": (None, "it is missing"),
}


@pytest.mark.parametrize(("element", "reason"), NOT_IMAGES.values(), ids=NOT_IMAGES)
def test_what_is_no_image(element: Any, reason: str) -> None:
    with pytest.raises(PayloadError, match=f"input photo: element 0 is not an image: .*{reason}|input photo: {reason}"):
        make_argument(KINDS.IMAGE, rows([element]), [spec("photo", datatype="BYTES", content_type="image/png")])


def test_an_image_with_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    big = picture(size=(20, 20))
    for limit in (399, 100):  # Pillow itself warns of one, and raises for twice the limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(PayloadError, match=r"input input-0: element 0 is not an image: .*(limit|exceeds)"):
            make_argument(KINDS.IMAGE, Message(PayloadType.BINARY, big), ())


def test_one_input_is_taken() -> None:
    tensors = [Tensor("x", texts(PNG), "BYTES"), Tensor("y", texts(PNG), "BYTES")]
    with pytest.raises(PayloadError, match="the model takes one input; found 2"):
        make_argument(KINDS.IMAGE, Message(PayloadType.TENSORS, tensors), ())


# Calls


def call(user: object, tree: Any, operation: Operation = Operation.PREDICT, **more: Any) -> Message:
    adapter = Adapter(user, UnitSpec(), **more)
    request = JSON.decode(operation, tree)
    request.keeps_rows = adapter.keeps_rows
    return adapter.call(request, list).message  # type: ignore[arg-type]


def test_an_outlier_detector_whose_methods_get_different_types() -> None:
    class Detector:
        def predict(self, X: pandas.DataFrame, names: Any) -> Any:
            return [[len(X.columns)]]

        def score(self, X: Any, names: Any) -> Any:
            return type(X).__name__

    class Other(Detector):
        def score(self, X: pandas.DataFrame, names: Any) -> Any:
            return str(X["b"].dtype)

    tree = {"data": {"ndarray": [[1, "x"]], "names": ["a", "b"]}}
    for user, expected in ((Detector(), "ndarray"), (Other(), TEXT)):
        message = call(user, tree, service_type=ServiceType.OUTLIER_DETECTOR)
        assert message.meta == {"tags": {"outlierScore": expected}}
        assert message.payload.tolist() == [[2]]


def test_a_transformer_without_a_result_returns_the_request_itself() -> None:
    class SeldonNotImplementedError(Exception):
        pass

    class Transformer:
        def transform_input(self, X: pandas.DataFrame, names: Any, meta: Any) -> Any:
            meta["tags"] = {"seen": list(X.columns)}
            raise SeldonNotImplementedError

    tree = {"data": {"ndarray": [[1, 2.5]], "names": ["a", "b"]}, "meta": {}}
    message = call(Transformer(), tree, Operation.TRANSFORM_INPUT, service_type=ServiceType.TRANSFORMER)
    assert message.payload.tolist() == [[1, 2.5]]
    assert message.meta == {"tags": {"seen": ["a", "b"]}}


def test_such_methods_are_called_for_one_request_at_a_time() -> None:
    assert not Adapter(annotated(bytes), UnitSpec()).batchable
    assert Adapter(annotated(Any), UnitSpec()).batchable
