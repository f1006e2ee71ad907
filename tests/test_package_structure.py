"""The package structure: imports point downwards between layers, inside every package too."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

_spec = importlib.util.find_spec("seldon_spec")
assert _spec is not None
assert _spec.submodule_search_locations is not None
PACKAGE = Path(next(iter(_spec.submodule_search_locations)))

LAYERS: tuple[tuple[str, ...], ...] = (
    ("diagnostics",),
    ("report",),
    ("errors",),
    # configuration
    ("config.contract", "config.deployment", "config.graph"),
    ("config.model_files",),
    ("config.model", "config.paths", "config.secret_names", "config.yaml.document"),
    ("config.yaml", "config.schema.lookup"),
    ("config.schema", "config.digest"),
    ("config.layers", "config.masking"),
    ("config.checks", "config.secrets"),
    ("config",),
    ("client",),
    ("runtimes", "model_store"),
    # bytes
    ("transport.bounded_cache", "transport.turns", "transport.abuse", "transport.tcp", "transport.buffers"),
    ("transport.capacity", "transport.templates", "transport.header_fields", "transport.tls"),
    ("transport.listener",),
    ("transport.http1", "transport.http2"),
    ("transport.grpc",),
    # the inference core
    ("inference.message", "inference.arrays", "inference.user_metrics"),
    ("inference.request",),
    ("inference.datatypes",),
    (
        "inference.json_default",
        "inference.batch_arrays",
        "inference.model_loop",
        "inference.call",
        "inference.metrics_sink",
        "inference.contents",
        "inference.image_files",
    ),
    ("inference.contract",),
    ("inference.component",),
    ("inference.graph",),
    ("inference.executor", "inference.processor"),
    ("inference.batching",),
    ("inference.dispatcher",),
    ("inference.assembly", "inference.served_spec"),
    # observability
    ("observability.metrics",),
    ("observability",),
    # protocols
    ("protocols.json_style", "protocols.json_numbers", "protocols.private_pool", "protocols.protobuf_wire"),
    ("protocols.status", "protocols.grpc_protocol", "protocols.component_codec", "protocols.graph_state"),
    ("protocols.route",),
    ("protocols.openapi",),
    ("protocols.seldon_v1.proto", "protocols.open_inference_v2.proto"),
    ("protocols.seldon_v1",),
    ("protocols.open_inference_v2",),
    # components of a graph in other processes
    ("remote",),
    ("diagram.build",),
    ("diagram",),
    # servers and processes
    ("server.sockets", "server.transport_settings", "server.auth", "server.bridge"),
    ("server.site",),
    ("server.rest", "server.grpc", "server.metrics_port"),
    ("server.uvicorn_engine",),
    ("server.engine",),
    ("process",),
    # what is built from a spec, and what old files and imports become
    ("deploy",),
    ("migrate",),
    ("compat",),
    ("app",),
    # calls of a model from Python
    ("calls.result", "calls.target", "calls.values"),
    ("calls",),
    ("compat.seldon_client",),
    ("background",),
    # batch scoring
    ("batch.predictions", "batch.formats", "batch.declared", "batch.messages", "batch.output_file", "batch.columns"),
    ("batch.rows",),
    ("batch.writer", "batch.line_reader", "batch.failed_rows"),
    ("batch",),
    ("pytest_plugin",),
    ("ray",),
    ("contract_test",),
    ("testing",),
    ("cli",),
    ("__main__",),
)
"""From the bottom to the top. An entry imports entries of lower layers and itself; the longest matching entry counts."""

LEVELS = {entry: level for level, entries in enumerate(LAYERS) for entry in entries}

MAX_MODULE_LINES = 400
MAX_CLASS_LINES = 300

MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"
)

INITS = {module for module in MODULES if (PACKAGE / module.replace(".", "/")).is_dir()}


def _entry(module: str) -> str | None:
    """Return the longest entry of the table that is the module or a package around it."""
    entries = [entry for entry in LEVELS if module == entry or module.startswith(f"{entry}.")]
    return max(entries, key=len) if entries else None


@functools.cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))


def _file(module: str) -> Path:
    base = PACKAGE / module.replace(".", "/")
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _imports(module: str) -> Iterator[str]:
    """The package's modules that a module imports, at any place in its source."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "seldon_spec":
            source = (node.module or "").removeprefix("seldon_spec").removeprefix(".")
            for alias in node.names:
                whole = f"{source}.{alias.name}".removeprefix(".")
                if whole in MODULES:
                    yield whole
                elif source:
                    yield source
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("seldon_spec.") for a in node.names if a.name.startswith("seldon_spec."))


def test_every_module_has_a_layer() -> None:
    assert MODULES
    assert [module for module in MODULES if module not in INITS and _entry(module) is None] == []


def test_every_entry_of_the_table_exists() -> None:
    assert [entry for entry in LEVELS if entry not in MODULES and entry not in INITS] == []


@pytest.mark.parametrize("module", [module for module in MODULES if _entry(module) is not None])
def test_imports_point_to_lower_layers(module: str) -> None:
    here = _entry(module)
    assert here is not None
    targets = {target: _entry(target) for target in _imports(module)}
    upward = [
        target
        for target, entry in targets.items()
        if entry is not None and entry != here and LEVELS[entry] >= LEVELS[here]
    ]
    assert upward == []


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("transport.")])
def test_the_transport_knows_no_model(module: str) -> None:
    """It could be published by itself: of this package it imports nothing but the errors."""
    assert [t for t in _imports(module) if not t.startswith("transport") and t != "errors"] == []
    imported = {alias.name for node in ast.walk(_tree(module)) if isinstance(node, ast.Import) for alias in node.names}
    assert "numpy" not in imported


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(("inference.", "observability."))])
def test_the_core_and_observability_know_no_server(module: str) -> None:
    """The core runs in a notebook or a replica of another engine; observability serves any protocol and transport."""
    above = (
        "transport",
        "protocols",
        "server",
        "process",
        *(["observability"] if module.startswith("inference") else []),
    )
    assert [t for t in _imports(module) if t.partition(".")[0] in above] == []


def test_no_two_modules_import_each_other() -> None:
    edges = {module: set(_imports(module)) - {module} for module in MODULES}
    while True:
        leaves = {module for module, targets in edges.items() if not targets & set(edges)}
        if not leaves:
            break
        edges = {module: targets for module, targets in edges.items() if module not in leaves}
    assert edges == {}


@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith(("cli", "app", "__main__"))])
def test_nothing_below_the_command_line_reads_the_process_s_environment(module: str) -> None:
    if module == "compat.environment":  # at the request of the user's class
        return
    names = {node.attr for node in ast.walk(_tree(module)) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(_tree(module)) if isinstance(node, ast.Name)}
    assert not names & {"environ", "getenv", "environb", "putenv"} - _passed_in(module)


def _passed_in(module: str) -> set[str]:
    """``environ`` as an argument is the environment handed in."""
    arguments = {node.arg for node in ast.walk(_tree(module)) if isinstance(node, ast.arg)}
    imports_os_environ = any(
        isinstance(node, ast.Attribute)
        and node.attr == "environ"
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        for node in ast.walk(_tree(module))
    )
    return {"environ"} if "environ" in arguments and not imports_os_environ else set()


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_classes_are_short(module: str) -> None:
    assert len(_file(module).read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES
    classes = [node for node in ast.walk(_tree(module)) if isinstance(node, ast.ClassDef)]
    assert [c.name for c in classes if (c.end_lineno or 0) - c.lineno >= MAX_CLASS_LINES] == []
