"""The folders that are built into images, each once in a session."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import random
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.image.conftest import Bakery, Image

ANY_UID = str(random.Random().randrange(1_000_000_000, 2_000_000_000))
"""As OpenShift gives one to each project; the group is root's."""
EXAMPLES = Path(__file__).parents[2] / "examples"
USERS = {"own": "8888", "any": f"{ANY_UID}:0"}

PASSWORD = "not-in-any-layer-5f1c"
IRIS_ROWS = [[5.1, 3.5, 1.4, 0.2]]

GUIDES_DOCKERFILE = """\
FROM {base}
COPY . /app
WORKDIR /app
RUN pip install -r requirements.txt
EXPOSE 5000
EXPOSE 9000
ENV MODEL_NAME MyModel
ENV SERVICE_TYPE MODEL
RUN chown -R 8888 /app
CMD exec seldon-core-microservice $MODEL_NAME --service-type $SERVICE_TYPE
"""
"""What Seldon's guide has users write; source: contract section 7.7."""


class Private:
    """Where the private index is, while it is there."""

    url = ""


def bake_iris(bakery: Bakery) -> Image:
    folder = bakery.copy("iris", "iris")
    bakery.build(folder, "test-iris")
    return bakery.image("test-iris", folder, rows=IRIS_ROWS)


def bake_minimal(bakery: Bakery) -> Image:
    folder = bakery.copy("minimal", "minimal")
    bakery.build(folder, "test-minimal")
    return bakery.image("test-minimal", folder)


LINKED = """\
import ctypes

class MyModel:
    def __init__(self):
        self.gomp = ctypes.CDLL("libgomp.so.1")

    def predict(self, X, names):
        return X * min(1, self.gomp.omp_get_max_threads())
"""


def bake_system_package(bakery: Bakery) -> Image:
    """A library that stays, and a tool for the install that does not."""
    folder = bakery.copy("minimal", "system", "image: {system_packages: [libgomp1], build_packages: [make]}\n")
    (folder / "MyModel.py").write_text(LINKED)
    bakery.build(folder, "test-system")
    return bakery.image("test-system", folder)


def bake_graph(bakery: Bakery) -> Image:
    """A chain of two folders whose modules have the same names, each with a requirement of its own."""
    folder = bakery.root / "graph"
    doubles, halves = (
        ("doubles", "TRANSFORMER", "transform_input", 2, "six"),
        ("halves", "MODEL", "predict", 0.5, "idna"),
    )
    for name, service_type, method, factor, package in (doubles, halves):
        (folder / name).mkdir(parents=True)
        (folder / name / "seldon.yaml").write_text(f"class_name: Component\nservice_type: {service_type}\n")
        (folder / name / "factors.py").write_text(f"FACTOR = {factor}\n")
        source = f"import {package}\nfrom factors import FACTOR\n\n\nclass Component:\n"
        source += f"    def {method}(self, X, features_names=None):\n        return X * FACTOR\n"
        (folder / name / "Component.py").write_text(source)
        (folder / name / "requirements.txt").write_text(f"{package}\n")
    (folder / "seldon.yaml").write_text("name: chain\ngraph: [doubles, halves]\n")
    bakery.build(folder, "test-graph")
    return bakery.image("test-graph", folder)


class Index(http.server.BaseHTTPRequestHandler):
    """A package index that asks for a password; it has one package of one module."""

    WHEEL = "private_half-1.0-py3-none-any.whl"
    files: dict[str, bytes]

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
            self._answer(401, b"who are you?")
        elif self.path in self.files:
            self._answer(200, self.files[self.path])
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def bake_private(bakery: Bakery) -> Image:
    folder = bakery.copy("minimal", "private", f"image: {{extra_index_urls: ['{Private.url}']}}\n")
    (folder / "requirements.txt").write_text("private-half\n")
    source = "from private_half import half\n\nclass MyModel:\n    def predict(self, X, names):\n        return half(X) * 2\n"
    (folder / "MyModel.py").write_text(source)
    netrc = bakery.root / "netrc"
    netrc.write_text(f"machine 127.0.0.1\nlogin me\npassword {PASSWORD}\n")
    bakery.build(folder, "test-private", "--secret", f"id=netrc,src={netrc}")
    return bakery.image("test-private", folder)


def bake_classic(bakery: Bakery) -> Image:
    folder = bakery.copy("minimal", "classic")
    render_classic(bakery, folder)
    bakery.build_file(folder, "test-classic", folder / "Dockerfile")
    return bakery.image("test-classic", folder)


def render_classic(bakery: Bakery, folder: Path) -> None:
    command = [sys.executable, "-m", "seldon_spec", "dockerfile", str(folder), "--style", "classic"]
    bakery.machine.run(*command, *bakery.base, "--set", "image.installer=pip", "--output", str(folder / "Dockerfile"))


def bake_old(bakery: Bakery) -> Image:
    """A folder as a user of Seldon's wrapper has it: no seldon.yaml, and the server's name in the requirements."""
    folder = bakery.root / "old"
    folder.mkdir()
    shutil.copy(bakery.copy("minimal", "old-source") / "MyModel.py", folder)
    shutil.copy(bakery.root / "old-source" / "Other.py", folder)
    (folder / "requirements.txt").write_text("seldon-spec\n")
    base = bakery.base[1].partition("=")[2]
    base = base if bakery.base[1].startswith("image.base") else f"python:{base}-slim"
    (folder / "Dockerfile").write_text(GUIDES_DOCKERFILE.format(base=base))
    bakery.build_file(folder, "test-old", folder / "Dockerfile")
    return bakery.image("test-old", folder, has_healthcheck=False)


def bake_model_file(bakery: Bakery) -> Image:
    """A model file without a class, which the build downloads."""
    source = bakery.copy("sklearn-file", "model-source")
    content = (source / "iris.joblib").read_bytes()
    folder = bakery.root / "model-file"
    folder.mkdir()
    shutil.copy(EXAMPLES / "iris" / "requirements.txt", folder)  # the same layer as that of the image of the class

    class Models(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Models) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        model = {
            "path": f"http://127.0.0.1:{server.server_address[1]}/iris.joblib",
            "method": "predict_proba",
            "sha256": hashlib.sha256(content).hexdigest(),
            "download": "image",
        }
        (folder / "seldon.yaml").write_text(json.dumps({"name": "iris", "model": model}))
        bakery.build(folder, "test-model-file")
        server.shutdown()
    return bakery.image("test-model-file", folder, rows=IRIS_ROWS)


MAKERS: dict[str, Callable[[Bakery], Image]] = {
    "iris": bake_iris,
    "minimal": bake_minimal,
    "system-package": bake_system_package,
    "private-index": bake_private,
    "classic": bake_classic,
    "old": bake_old,
    "graph": bake_graph,
    "model-file": bake_model_file,
}
