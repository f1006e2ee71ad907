"""The files of MLServer: ``model-settings.json`` of one model, and ``settings.json`` of the server."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seldon_spec.config.model_files.formats import FORMATS
from seldon_spec.config.paths import is_folder, is_inside
from seldon_spec.config.schema.check import check
from seldon_spec.config.schema.locations import SourceLocations
from seldon_spec.config.yaml.parser import parse_document
from seldon_spec.errors import FieldPath, Origin, OriginKind, Position
from seldon_spec.migrate.candidates import Gathered, Rank
from seldon_spec.migrate.manifest import Tree
from seldon_spec.migrate.model_files import FROM_HUB, MLSERVER_RUNTIMES, ModelServer, add_model, add_option
from seldon_spec.migrate.sources import read_bounded

MODEL_FILE, SERVER_FILE = "model-settings.json", "settings.json"

_INTEGER = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_CUSTOM = "a runtime of your own: write a class with predict(X, names), or infer(inputs) for named tensors"
_NO_KEY = "it has no equivalent key"
_BATCH_TIME = "max_batch_time"
_PRETRAINED = "parameters.extra.pretrained_model"

_SERVER_KEYS: dict[str, FieldPath] = {
    "host": ("server", "host"),
    "http_port": ("ports", "http"),
    "grpc_port": ("ports", "grpc"),
    "metrics_port": ("ports", "metrics"),
    "parallel_workers": ("server", "workers"),
    "grpc_max_message_length": ("server", "max_message_bytes"),
}
_REASONS = {
    "debug": "its log is more detailed by server.log.level: DEBUG",
    "content_type": "the datatype of each input decides how it is decoded",
    "environment_tarball": "list the packages of the environment in requirements.txt",
    "versions": "requirements.txt has the versions of packages",
    "extra": "the runtime of MLServer alone reads what is not in model",
}


def read_mlserver(folder: Path, gathered: Gathered) -> list[str]:
    """Add the settings of a folder of MLServer; return the files that were read."""
    tree = _read(folder, MODEL_FILE, gathered)
    if tree is None:
        return []
    _Reader(folder, gathered).read_model(tree)
    server = _read(folder, SERVER_FILE, gathered)
    if server is None:
        return [MODEL_FILE]
    _Reader(folder, gathered).read_server(server)
    return [MODEL_FILE, SERVER_FILE]


def list_folders(folder: Path) -> list[str]:
    """Return the subfolders with models of MLServer, which it serves together."""
    return sorted(path.parent.name for path in folder.glob(f"*/{MODEL_FILE}"))


def _read(folder: Path, name: str, gathered: Gathered) -> Tree | None:
    path = folder / name
    data = read_bounded(folder, path, gathered.problems)
    if data is None:
        return None
    document = parse_document(data.replace(b"\t", b" "), str(path))
    if document.root is None or not isinstance(document.root.value, dict):
        gathered.leave_out(Position(str(path), 1, 1), name, "it cannot be read as a JSON object")
        return None
    return Tree(document.root, 0)


class _Reader:
    def __init__(self, folder: Path, gathered: Gathered) -> None:
        self._folder, self._gathered = folder, gathered

    def read_model(self, tree: Tree) -> None:
        server = self._find_server(tree)
        method = None if server is None else self._read_tensors(tree, server)
        implementation = tree.text("implementation")
        key, uri = "parameters.uri", tree.get("parameters", "uri")
        if server is not None and uri is None and server.format == "huggingface":
            key, uri = _PRETRAINED, self._find_pretrained(tree)
            server = None if uri is None else server
        if server is not None:
            place = tree.get("implementation") or tree
            label = f"{implementation}{'' if uri is None else f', {key}'}"
            position = (uri or place).position()
            add_model(self._folder, server, uri.text() if uri else ".", position, label, self._gathered, method)
            for name in server.options:
                value = tree.get("parameters", "extra", name)
                if value is not None:
                    add_option(server, name, value.text(), value.position(), self._gathered)
        self._read_batching(tree)
        readers: dict[str, Callable[[Tree], None]] = {
            "name": lambda each: self._add(("name",), each.text(), each, "name"),
            "version": lambda each: self._add(("version",), each.text(), each, "version"),
            "platform": lambda each: self._add(("platform",), each.text(), each, "platform"),
            "parallel_workers": lambda each: self._add_workers(each),
            "parameters": self._read_parameters,
        }
        known = {"implementation", "inputs", "outputs", "max_batch_size", _BATCH_TIME}
        for key, each in tree.entries():
            if key in readers and each.node.value not in (None, ""):
                readers[key](each)
            elif key not in known | readers.keys():
                self._leave_out(key, each)

    def read_server(self, tree: Tree) -> None:
        for key, each in tree.entries():
            if key == "parallel_workers":
                self._add_workers(each)
            elif key in _SERVER_KEYS:
                self._add(_SERVER_KEYS[key], _to_number(each), each, key)
            else:
                self._leave_out(key, each)

    def _find_server(self, tree: Tree) -> ModelServer | None:
        text = tree.text("implementation")
        parts = text.split(".")
        found = MLSERVER_RUNTIMES.get(f"{parts[0]}.{parts[-1]}")
        if found is None:
            place = tree.get("implementation") or tree
            why = _CUSTOM if text else "there is no implementation, so the runtime that loads the model is not known"
            self._gathered.leave_out(place.position(), f"implementation {text[:200]}".rstrip(), why)
        return found

    def _find_pretrained(self, tree: Tree) -> Tree | None:
        """Return the folder of a model of transformers; None, which is reported, if it is not in this folder."""
        name = tree.get("parameters", "extra", "pretrained_model")
        if name is not None and is_inside(self._folder, name.text()) and is_folder(self._folder / name.text()):
            return name
        label = f"{tree.text('implementation')[:200]}, {_PRETRAINED}"
        self._gathered.leave_out((name or tree).position(), label, FROM_HUB)
        return None

    def _read_tensors(self, tree: Tree, server: ModelServer) -> str | None:
        """Add the inputs and the output that are declared; return the method whose name the output has."""
        inputs = tree.get("inputs")
        if inputs is not None and inputs.items():
            self._add(("inputs",), _list_tensors(inputs), inputs, "inputs")
        outputs = tree.get("outputs")
        names = [each.text("name") for each in outputs.items()] if outputs else []
        if outputs is None or not names:
            return None
        if len(names) > 1:
            why = "the model file returns the output of one method, which model.method names"
            self._gathered.leave_out(outputs.position(), "outputs", why)
            return None
        self._add(("outputs",), _list_tensors(outputs), outputs, "outputs")
        return names[0] if names[0] in FORMATS[server.format].methods else None

    def _read_batching(self, tree: Tree) -> None:
        size, seconds = tree.get("max_batch_size"), tree.get(_BATCH_TIME)
        rows = _to_number(size) if size else 0
        if size is None or not isinstance(rows, int) or rows < 2:
            return
        delay = _to_number(seconds) if seconds else 0
        value: dict[str, Any] = {"max_rows": rows}
        if isinstance(delay, (int, float)) and delay > 0:
            milliseconds = round(delay * 1000, 3)
            value["max_delay_ms"] = int(milliseconds) if float(milliseconds).is_integer() else milliseconds
        self._add(("server", "batching"), value, size, "max_batch_size")

    def _read_parameters(self, tree: Tree) -> None:
        for key, each in tree.entries():
            if key == "version":
                self._add(("version",), each.text(), each, "parameters.version")
            elif key != "uri":
                self._leave_out(key, each)

    def _add_workers(self, tree: Tree) -> None:
        """Add the number of processes; without any, MLServer has the one that it starts."""
        self._add(("server", "workers"), _to_number(tree) or 1, tree, "parallel_workers")

    def _leave_out(self, key: str, tree: Tree) -> None:
        self._gathered.leave_out(tree.position(), key, _REASONS.get(key, _NO_KEY))

    def _add(self, path: FieldPath, value: Any, tree: Tree, label: str) -> None:
        """Add a value if its key accepts it, and report it otherwise."""
        position = tree.position()
        if check(value, path, SourceLocations.single(Origin(OriginKind.FILE, position.file, position))):
            self._gathered.leave_out(position, label, f"{'.'.join(path)} does not accept this value")
        else:
            self._gathered.add(path, value, position, label, Rank.DEPLOYMENT)


def _to_number(tree: Tree) -> Any:
    """Return a value, with text of a number as the number: MLServer accepts both."""
    text = tree.text()
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else tree.node.to_json()


def _list_tensors(tree: Tree) -> list[Any]:
    """Return declared tensors without the parameters that only MLServer reads."""
    tensors: list[Any] = []
    for each in tree.items():
        value = each.node.to_json()
        kept = (
            {key: value[key] for key in ("name", "datatype", "shape") if key in value}
            if isinstance(value, dict)
            else {}
        )
        is_text = each.text("parameters", "content_type") == "str" and kept.get("datatype") == "BYTES"
        tensors.append(kept | ({"content_type": "str"} if is_text else {}))
    return tensors
