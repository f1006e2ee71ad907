"""The documents of the web page: headers, sizes, what is public, and where it is served."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seldon_spec import make_app
from seldon_spec.config.loader import load
from seldon_spec.config.model import AuthSpec, ServerSpec, ServiceType, Spec

if TYPE_CHECKING:
    from tests.conftest import Running

ServeInThread = Callable[..., AbstractContextManager["Running"]]

MODEL = """\
class Model:
    def predict(self, X, names):
        return X
"""
THROUGH_FLASK = """\
    import flask; model_error_handler = flask.Blueprint("nothing", __name__)
"""
TOKEN = "only-for-the-tests"
AUTH = AuthSpec(tokens=(TOKEN,))
COLUMNS = "class_name: Model\nname: model\nversion: '1'\ninputs: [sepal, petal]\n"
PATHS = ("/", "/page.css", "/page.js")
MEDIA_TYPES = {"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"}

SHARED = (
    "Content-Type",
    "Cache-Control",
    "Content-Security-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
    "ETag",
    "Vary",
)
"""The headers of the page that do not depend on its content coding."""


@pytest.fixture
def load_text(tmp_path: Path) -> Callable[[str], Spec]:
    def load_spec(text: str) -> Spec:
        (tmp_path / "Model.py").write_text(MODEL)
        (tmp_path / "seldon.yaml").write_text(text)
        return load(tmp_path, {})

    return load_spec


@pytest.fixture(scope="module", params=["native", "flask", "uvicorn"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, serve_in_thread: ServeInThread
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "Model.py").write_text(MODEL + (THROUGH_FLASK if request.param == "flask" else ""))
    (folder / "seldon.yaml").write_text(COLUMNS)
    spec = load(folder, {})
    server = ServerSpec(host="127.0.0.1", engine="uvicorn" if request.param == "uvicorn" else "native")
    with serve_in_thread(folder, "Model", inputs=spec.inputs, version="1", server=server) as served:
        yield served


class Facts(HTMLParser):
    """The text of the data block of a page, and the URLs and the scripts of its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.handlers: list[str] = []
        self.tags: list[str] = []
        self.blocks: list[str] = []
        self._is_in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._is_in_script = tag == "script"
        self.urls += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_endtag(self, _tag: str) -> None:
        self._is_in_script = False

    def handle_data(self, data: str) -> None:
        if self._is_in_script:
            self.blocks.append(data)


def read_facts(page: str) -> Any:
    (block,) = Facts(page).blocks
    return json.loads(block)


@pytest.mark.parametrize("path", PATHS)
def test_each_document_has_its_headers(running: Running, path: str) -> None:
    status, headers, body = running.rest("GET", path)
    assert status == 200
    assert body
    assert headers["Content-Type"] == f"{MEDIA_TYPES[path]}; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-cache"
    assert int(headers["Content-Length"]) == len(body)


def test_the_page_may_load_only_its_own_files(running: Running) -> None:
    _, headers, body = running.rest("GET", "/")
    policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    page = Facts(body.decode())
    assert page.handlers == []
    assert [url for url in page.urls if url.startswith("/") or ":" in url] == ["data:,"]


@pytest.mark.parametrize("path", PATHS)
def test_a_document_that_the_client_has_is_not_sent_again(running: Running, path: str) -> None:
    etag = running.rest("GET", path)[1]["ETag"]
    assert running.rest("HEAD", path)[::2] == (200, b"")
    assert running.rest("GET", path, headers={"If-None-Match": etag})[::2] == (304, b"")


def test_only_get_is_allowed(running: Running) -> None:
    status, headers, _ = running.rest("POST", "/", b"{}")
    assert status == 405
    assert set(headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, GZIP ; q=0.01", "identity, gzip"])
def test_a_document_is_compressed_for_a_client_that_accepts_gzip(running: Running, path: str, accepted: str) -> None:
    _, plain, content = running.rest("GET", path)
    given = {"Accept-Encoding": accepted}
    status, headers, body = running.rest("GET", path, headers=given)
    assert (status, gzip.decompress(body)) == (200, content)
    assert headers["Content-Encoding"] == "gzip"
    assert headers["ETag"].startswith('W/"')
    assert [headers.get(name) for name in SHARED] == [plain.get(name) for name in SHARED]
    assert "Accept-Encoding" in headers["Vary"].split(", ")
    status, kept, empty = running.rest("GET", path, headers={**given, "If-None-Match": headers["ETag"]})
    assert (status, kept["ETag"], kept["Vary"], empty) == (304, headers["ETag"], headers["Vary"], b"")
    assert "Content-Encoding" not in kept


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "accepted", ["", "identity", "br", "gzip;q=0", "gzip; q=0.000, br", "xgzip", "gzip-2", "gzip;q"]
)
def test_a_document_is_plain_for_other_clients(running: Running, path: str, accepted: str) -> None:
    _, headers, body = running.rest("GET", path, headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in headers
    assert "Accept-Encoding" in headers["Vary"].split(", ")
    assert body == running.rest("GET", path)[2]


def test_the_page_and_its_files_are_small(running: Running) -> None:
    assert sum(len(running.rest("GET", path)[2]) for path in PATHS) < 60_000


@pytest.mark.parametrize("count", [4, 10, 100])
def test_the_page_of_many_columns_is_small_in_a_browser(load_text: Callable[[str], Spec], count: int) -> None:
    columns = [
        {"name": f"sepal_length_{index}", "description": "In centimetres.", "minimum": 0} for index in range(count)
    ]
    inputs = [{"name": "x", "datatype": "FP64", "shape": [-1, count], "columns": columns}]
    client = make_app(load_text(json.dumps({"class_name": "Model", "name": "model", "inputs": inputs}))).test_client()
    responses = [client.get(path, headers={"Accept-Encoding": "gzip"}) for path in PATHS]
    assert b"sepal_length_%d" % (count - 1) in gzip.decompress(responses[0].data)
    assert sum(len(response.data) for response in responses) < 60_000


@pytest.mark.parametrize("path", PATHS)
def test_the_page_can_be_disabled(tmp_path: Path, serve_in_thread: ServeInThread, path: str) -> None:
    (tmp_path / "Model.py").write_text(MODEL)
    with serve_in_thread(tmp_path, "Model", server=ServerSpec(host="127.0.0.1", page=False)) as server:
        status, _, body = server.rest("GET", path)
    assert status == 404
    assert b"<html" not in body


@pytest.mark.parametrize("token", [None, "wrong"], ids=["no-token", "wrong-token"])
def test_without_a_valid_token_the_page_has_nothing_of_the_model(
    tmp_path: Path, serve_in_thread: ServeInThread, token: str | None
) -> None:
    (tmp_path / "Model.py").write_text(MODEL)
    server = ServerSpec(host="127.0.0.1", auth=AUTH)
    given = {} if token is None else {"Authorization": f"Bearer {token}"}
    with serve_in_thread(tmp_path, "Model", server=server, version="secret-version") as running:
        status, headers, public = running.rest("GET", "/", headers=given)
        assert status == 200
        assert headers["Vary"] == "Accept-Encoding, Authorization"
        assert headers["Content-Security-Policy"]
        assert b"secret-version" not in public
        assert b'id="login"' in public
        assert b'id="facts"' not in public
        files = [running.rest("GET", path, headers=given)[0] for path in PATHS[1:]]
        assert files == [200, 200]
        _, headers, page = running.rest("GET", "/", headers={"Authorization": f"Bearer {TOKEN}"})
        assert headers["Vary"] == "Accept-Encoding, Authorization"
        assert b"secret-version" in page
        assert read_facts(page.decode())["hasToken"] is True


def test_the_page_does_not_contain_a_token(load_text: Callable[[str], Spec], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGE_TOKEN", TOKEN)
    spec = load_text(f"{COLUMNS}server: {{auth: {{tokens: [{{from_env: PAGE_TOKEN}}]}}}}\n")
    client = make_app(spec).test_client()
    page = client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).get_data(as_text=True)
    assert "sepal" in page
    assert TOKEN not in page
    assert "sepal" not in client.get("/").get_data(as_text=True)


def test_make_app_serves_the_page(load_text: Callable[[str], Spec]) -> None:
    client = make_app(load_text(COLUMNS)).test_client()
    response = client.get("/")
    assert response.status_code == 200
    assert "<h1>model</h1>" in response.get_data(as_text=True)
    assert client.get("/page.js").status_code == 200
    assert client.get("/", headers={"If-None-Match": response.headers["ETag"]}).status_code == 304


NAMES = ["<script>alert(1)</script>", "</script>", '"onload="x', "a'b", "{name}", "&amp;"]


def test_text_of_the_model_is_escaped(load_text: Callable[[str], Spec]) -> None:
    values = {
        "class_name": "Model",
        "name": "model",
        "version": "<b>1",
        "inputs": [
            {
                "name": "x",
                "datatype": "BYTES",
                "shape": [-1, len(NAMES)],
                "columns": [{"name": name, "description": name, "choices": [name]} for name in NAMES],
                "description": "<i>",
            }
        ],
        "outputs": [{"name": name, "datatype": "FP64", "shape": [-1], "description": name} for name in NAMES],
    }
    page = make_app(load_text(json.dumps(values))).test_client().get("/").get_data(as_text=True)
    parsed = Facts(page)
    assert parsed.tags.count("script") == 2
    assert not {"b", "i"} & set(parsed.tags)
    assert parsed.handlers == []
    assert [field["name"] for field in read_facts(page)["fields"]] == NAMES
    assert re.search(r"<title>model &lt;b&gt;1</title>", page)


FIELDS: dict[str, tuple[str, list[str], list[str]]] = {
    "columns": ("[a, b]", ["number", "number"], ["1", "1"]),
    "types": (
        "[{name: n, datatype: INT8, shape: [-1], maximum: 100.5}, {name: t, datatype: BOOL, shape: [-1], optional: true},"
        " {name: b, datatype: BOOL, shape: [-1]}, {name: s, datatype: BYTES, shape: [-1, 1]},"
        " {name: c, datatype: FP32, shape: [-1], choices: [0.5, 1.0]}]",
        ["number", "select", "checkbox", "text", "select"],
        ["1", "true", "true", "text", "0.5"],
    ),
    "text": ("[{name: t, datatype: BYTES, shape: [-1], content_type: str, example: hello}]", ["text"], ["hello"]),
    "tensors": (
        "[{name: a, datatype: FP32, shape: [-1, 2, 2]}, {name: b, datatype: INT64, shape: [3], example: [1, 2, 3]},"
        " {name: j, datatype: BYTES, shape: [-1], content_type: json}]",
        ["json", "json", "json"],
        ["[[[1.0, 1.0], [1.0, 1.0]]]", "[1, 2, 3]", '["{}"]'],
    ),
    "large": ("[{name: a, datatype: UINT8, shape: [-1, 224, 224, 3]}]", ["json"], [""]),
}


@pytest.mark.parametrize(("inputs", "widgets", "examples"), FIELDS.values(), ids=FIELDS)
def test_each_input_has_its_field(
    load_text: Callable[[str], Spec], inputs: str, widgets: list[str], examples: list[str]
) -> None:
    spec = load_text(f"class_name: Model\nname: model\ninputs: {inputs}\n")
    page = make_app(spec).test_client().get("/").get_data(as_text=True)
    fields = read_facts(page)["fields"]
    assert [field["widget"] for field in fields] == widgets
    assert [field["example"] for field in fields] == examples
    assert len(page) < 20_000


@pytest.mark.parametrize("size", [224, 2048], ids=["made-by-the-script", "empty"])
def test_a_large_example_is_not_in_the_page(load_text: Callable[[str], Spec], size: int) -> None:
    inputs = f"[{{name: a, datatype: UINT8, shape: [-1, {size}, {size}, 3]}}]"
    spec = load_text(f"class_name: Model\nname: model\ninputs: {inputs}\n")
    page = make_app(spec).test_client().get("/").get_data(as_text=True)
    (field,) = read_facts(page)["fields"]
    assert field.get("fill") == ([[1, size, size, 3], 1] if size == 224 else None)
    assert len(page) < 20_000


def test_a_number_field_has_the_limits_of_its_datatype(load_text: Callable[[str], Spec]) -> None:
    spec = load_text(
        "class_name: Model\nname: model\ninputs: [{name: n, datatype: INT8, shape: [-1], minimum: -0.5},"
        " {name: x, datatype: FP64, shape: [-1], minimum: 0.25}]\n"
    )
    page = make_app(spec).test_client().get("/").get_data(as_text=True)
    assert 'min="0" max="127" step="1"' in page
    assert 'min="0.25" step="any"' in page


PATHS_OF_TYPES: Mapping[ServiceType, list[tuple[str, str]]] = {
    ServiceType.MODEL: [("predict", "v2/models/model/infer")],
    ServiceType.ROUTER: [("route", "v2/models/model/route")],
    ServiceType.COMBINER: [("aggregate", "v2/models/model/aggregate")],
    ServiceType.TRANSFORMER: [
        ("transform-input", "v2/models/model/infer"),
        ("transform-output", "v2/models/model/infer"),
    ],
    ServiceType.OUTLIER_DETECTOR: [("predict", "v2/models/model/infer"), ("transform-input", "v2/models/model/infer")],
}


@pytest.mark.parametrize("service_type", ServiceType, ids=str)
def test_each_service_type_has_its_paths(
    tmp_path: Path, serve_in_thread: ServeInThread, service_type: ServiceType
) -> None:
    methods = ("predict", "route", "aggregate", "transform_input", "transform_output", "score")
    lines = [
        f"    def {name}(self, X, names=None):\n        return 1 if '{name}' in 'route score' else [[1]]\n"
        for name in methods
    ]
    (tmp_path / "Model.py").write_text("class Model:\n" + "".join(lines))
    with serve_in_thread(tmp_path, "Model", service_type=service_type) as server:
        operations = read_facts(server.rest("GET", "/")[2].decode())["operations"]
        assert [(each["v1"]["path"], each["v2"]["path"]) for each in operations] == PATHS_OF_TYPES[service_type]
        for each in operations:
            for protocol in ("v1", "v2"):
                body = json.dumps(each[protocol]["example"]).encode()
                status, _, response = server.post(body, f"/{each[protocol]['path']}")
                assert status == 200, response
