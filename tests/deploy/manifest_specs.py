"""Random specs for manifests: files of classes and of graphs, with every key that a manifest depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

CLASSES = '''"""Components that take any parameters."""


class Any:
    def __init__(self, **parameters): ...


class Model(Any):
    def predict(self, X, names): ...


class Router(Any):
    def route(self, X, names): ...

    def send_feedback(self, X, names, reward, truth): ...


class Combiner(Any):
    def aggregate(self, Xs, names): ...


class Both(Any):
    def transform_input(self, X, names): ...

    def transform_output(self, X, names): ...
'''
TYPES = {"Model": "MODEL", "Router": "ROUTER", "Combiner": "COMBINER", "Both": "TRANSFORMER"}

LITERAL = "literal-secret-value"
"""A part of each literal secret in a spec; no manifest contains it."""

Tree = dict[str, Any]


@dataclass(frozen=True)
class RandomSpec:
    """The values of a seldon.yaml, and those of the files of components in folders below."""

    tree: Tree
    folders: Mapping[str, Tree] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the files and their classes; return the path of the file of the spec."""
        _write(folder, self.tree, "parts")
        for name, tree in self.folders.items():
            _write(folder / name, tree, _module(name))
        return folder / "seldon.yaml"


def _module(name: str) -> str:
    return f"parts_of_{name.replace('-', '_')}"


def _write(folder: Path, tree: Tree, module: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(CLASSES, encoding="utf-8")
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    (folder / "seldon.yaml").write_text(text, encoding="utf-8")


def mappings(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Tree]:
    """Mappings with any of the keys."""
    return st.fixed_dictionaries({}, optional=optional)


# ----- values

LABELS = st.from_regex(r"[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,4})?", fullmatch=True)
"""Names of objects and namespaces."""

HARD_TEXTS = st.sampled_from([
    "", " ", "yes", "no", "on", "off", "~", "null", "true", "0x1f", "1e3", "1:30", "0o17", "017", "1_000", "2024-01-01",
    ".5", "- a", "a: b", "a #b", "#", "'", '"', "\\", "a\nb", "a\n\n", "\n a", "  a", "a ", "%a", "@a", "`a", "&a", "*a",
    "!a", "|", ">", "{}", "[]", "{a: b}", "=", "<<", "?", "é", "\u2028", "\u0085", "\ufeff", "\U0001f600", "$(HOME)", "$$",
    "$$(A)", "$", "--- a", "...", "a\tb", "0.1", "-", "1.", "+1", "NaN", ".inf", "0b1", "1e+3", "12e03", "٣",
])  # fmt: skip
"""Texts that a careless writer turns into other values."""

TEXTS = HARD_TEXTS | st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t"), max_size=12)

VARIABLES = st.from_regex(r"VAR_[A-Z0-9_]{1,4}", fullmatch=True)
FILES = st.sampled_from(["/etc/secrets/a", "/etc/secrets/b.txt", "/run/secrets/db/password", "/etc/tls/tls.key"])
REFERENCES = st.builds(lambda name: {"from_env": name}, VARIABLES.map(lambda name: f"SECRET_{name}")) | st.builds(
    lambda path: {"from_file": path}, FILES
)
QUANTITIES = {
    "cpu": st.sampled_from(["500m", "0.5", "2", 1, 0.25, "1500m"]),
    "memory": st.sampled_from(["512Mi", "1.5Gi", "2G", 1073741824, "128974848"]),
}
SCALARS = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.none()
)
VALUES = st.recursive(
    SCALARS | REFERENCES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b-c", "D", "e.f", "1"]), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = st.sampled_from(["threshold", "label", "Upper", "snake_case", "with-dash", "with.dot", "é", "x__y", "path"])
PARAMETERS = st.builds(
    lambda values, literal: {**values, **literal},
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.sampled_from([{}, {}, {"db_password": f"{LITERAL}-1"}, {"nested": {"api_token": f"{LITERAL}-2"}}]),
)
ENVIRONMENT = st.builds(
    lambda values, literal: {**values, **literal},
    st.dictionaries(VARIABLES, TEXTS.filter(lambda text: "\0" not in text) | REFERENCES, max_size=3),
    st.sampled_from([{}, {}, {"DB_PASSWORD": f"{LITERAL}-3"}, {"DB_URL": f"postgres://user:{LITERAL}-4@db/x"}]),
)

# ----- sections

PORTS = mappings(
    http=st.sampled_from([8000, 9000]), grpc=st.sampled_from([5000, 5001, None]), metrics=st.sampled_from([6000, 8002])
)
TLS = st.fixed_dictionaries(
    {"certificate": st.just("/etc/tls/tls.crt"), "key": st.just("/etc/tls/tls.key")},
    optional={"client_ca": st.sampled_from(["/etc/ca/ca.crt", "/etc/tls/ca.crt"])},
)
TOKENS = st.fixed_dictionaries({"tokens": REFERENCES | st.lists(REFERENCES, min_size=1, max_size=2)})
SHUTDOWN = st.sampled_from(
    [
        *(
            {},
            {"delay_seconds": 2},
            {"grace_seconds": 60, "delay_seconds": 12.5},
            {"grace_seconds": 4, "delay_seconds": 3},
        ),
        *({"grace_seconds": seconds} for seconds in (0, 3, 5, 30.5)),
    ]
)
FLASK = mappings(
    SERVER_NAME=st.just("example.com"),
    JSON_SORT_KEYS=st.booleans(),
    MAX_CONTENT_LENGTH=st.integers(1, 10**6),
    SECRET_KEY=REFERENCES | st.just(f"{LITERAL}-5"),
    SECRET_KEY_FALLBACKS=st.lists(REFERENCES | st.just(f"{LITERAL}-6"), max_size=2),
    TRUSTED_HOSTS=st.lists(st.sampled_from(["example.com", "*.example.com"]), max_size=2),
)
SERVER: dict[str, st.SearchStrategy[Any]] = {
    "workers": st.integers(1, 3),
    "threads": st.integers(1, 8),
    "max_queue": st.integers(1, 100),
    "request_timeout_seconds": st.sampled_from([0.5, 10, 60]),
    "max_message_bytes": st.integers(1, 2**31 - 1),
    "keep_alive_seconds": st.sampled_from([0, 5.5, 75]),
    "log": mappings(level=st.sampled_from(["DEBUG", "INFO"]), format=st.sampled_from(["text", "json"])),
    "validate_requests": st.sampled_from(["off", "warn", "reject"]),
    "shutdown": SHUTDOWN,
}
IMAGE = mappings(
    user=st.integers(1, 70000),
    tag=st.sampled_from(["registry.example.com/iris:1.0", "iris:2", "registry.example.com:5000/team/iris"]),
    python=st.sampled_from(["3.10", "3.13"]),
)
TENSORS = st.lists(st.sampled_from(["a", "b", "c d", "é"]), unique=True, min_size=1, max_size=3) | st.just(
    [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
)
REPLICAS = st.integers(0, 3) | st.just({"min": 1, "max": 4}) | st.just({"min": 2, "max": 10, "cpu_percent": 50})
LABEL_KEYS = st.sampled_from(["team", "example.com/team", "Env_1", "tier"])
PODS = mappings(
    nodeSelector=st.sampled_from([{"disk": "ssd"}, {"kubernetes.io/arch": "arm64"}]),
    tolerations=st.just([{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]),
    imagePullSecrets=st.just([{"name": "registry"}]),
    priorityClassName=st.just("high"),
    securityContext=st.sampled_from([{"fsGroup": 2000}, {"runAsUser": None}]),
    volumes=st.just([{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}]),
)
IMAGES = st.sampled_from(
    ["registry.example.com/iris:2.0", "iris", f"iris@sha256:{'0' * 64}", "registry.example.com:5000/a/b:latest"]
)


def deployments(*, is_component: bool = False) -> st.SearchStrategy[Tree]:
    """The key ``deployment`` of a spec, or of a component of a graph."""
    secrets = st.dictionaries(
        VARIABLES.map(lambda name: f"SECRET_{name}") | FILES,
        st.sampled_from(["iris-db/password", "a.b/c_d"]),
        max_size=2,
    )
    own: dict[str, st.SearchStrategy[Any]] = {
        "image": IMAGES,
        "secrets": secrets,
        "labels": st.dictionaries(LABEL_KEYS, st.sampled_from(["a", "A_1.b", "", 1, True]), max_size=2),
        "annotations": st.dictionaries(LABEL_KEYS, TEXTS | st.just(1.5), max_size=2),
        "service_account": st.sampled_from(["iris", "iris.sa"]),
        "pod": PODS,
    }
    whole: dict[str, st.SearchStrategy[Any]] = {
        "namespace": LABELS,
        "network_policy": st.booleans() | st.builds(lambda names: {"from": names}, st.lists(LABELS, max_size=2)),
        "monitoring": st.sampled_from(["annotations", "service_monitor", "none"]),
        "apart": st.booleans(),
        "executor": st.booleans(),
        "transport": st.sampled_from(["rest", "grpc"]),
    }
    resources = mappings(**QUANTITIES, gpu=st.integers(1, 2))
    scaled = st.fixed_dictionaries({"replicas": REPLICAS, "resources": st.fixed_dictionaries(QUANTITIES)})
    scaling = scaled | mappings(replicas=st.integers(0, 3), resources=resources)
    return st.builds(lambda one, other: {**one, **other}, scaling, mappings(**own, **({} if is_component else whole)))


def sections(*, is_component: bool = False) -> st.SearchStrategy[Tree]:
    """The keys of a file apart from those of its class or graph."""
    server = {**SERVER} if is_component else {**SERVER, "tls": TLS, "auth": TOKENS}
    optional = {
        "version": st.sampled_from(["1.0", "2024-01", "1.0+local", "v/1", "x" * 70]),
        "environment": ENVIRONMENT,
        "image": IMAGE,
        "deployment": deployments(is_component=is_component),
        "server": mappings(**server),
    }
    if not is_component:
        optional |= {"ports": PORTS, "flask": FLASK}
    return mappings(**optional)


@st.composite
def classes(draw: Callable[..., Any], module: str = "parts", name: str | None = None) -> Tree:
    """The file of a class."""
    kind = draw(st.sampled_from(sorted(TYPES))) if name is None else KINDS[name]
    required = {"class_name": f"{module}.{kind}", "service_type": TYPES[kind]}
    more = draw(
        st.builds(
            lambda one, other: {**one, **other},
            sections(is_component=name is not None),
            mappings(parameters=PARAMETERS, inputs=TENSORS, outputs=TENSORS),
        )
    )
    return {**required, **({} if name else {"name": draw(LABELS)}), **more}


# ----- graphs

KINDS = {"iris": "Model", "iris-2": "Model", "deep": "Model", "bandit": "Router", "mean": "Combiner", "scaler": "Both"}
"""The classes of the components of a graph; ``deep`` has a folder of its own."""

REMOTE = {"url": "grpc://remote.example.com:5000", "service_type": "MODEL", "token": {"from_env": "SECRET_VAR_REMOTE"}}


def _name_variables(name: str, entry: Tree) -> Tree:
    """Give a component variables that no other one has: one process has one environment."""
    if "environment" not in entry:
        return entry
    word = name.upper().replace("-", "")
    return {**entry, "environment": {f"{key}_{word}": value for key, value in entry["environment"].items()}}


class _Steps:
    """Draws the steps of a graph; ``used`` are the components that they call."""

    def __init__(self, draw: Callable[..., Any], leaves: list[str], prefix: str) -> None:
        self._draw = draw
        self._leaves = leaves
        self._prefix = prefix
        self._number = 0
        self.used: set[str] = set()

    def _use(self, name: str) -> str:
        self.used.add(name)
        return name

    def make(self, depth: int) -> Any:
        kinds = [
            "call",
            "call",
            "chain",
            "split",
            "combine",
            "average",
            "shadow",
            *["route"] * ("bandit" not in self.used),
        ]
        kind = self._draw(st.sampled_from(kinds)) if depth else "call"
        if kind == "call":
            name = self._use(self._draw(st.sampled_from(self._leaves)))
            return (
                {self._draw(st.sampled_from(["transform_input", "transform_output"])): name}
                if name == "scaler"
                else name
            )
        if kind == "shadow":
            return {"predict": self._use("iris"), "shadow": self.make(depth - 1), "shadow_percent": 10}
        self._number += 1
        step = {"name": f"{self._prefix}step-{self._number}"}
        if kind == "route":
            step["route"] = self._use("bandit")
        if kind == "combine":
            step["combine"] = self._use("mean")
        branches = [self.make(depth - 1) for _ in range(2)]
        return {
            "chain": branches,
            "split": {"split": [90, 10], "to": branches, **step},
            "route": {"to": branches, **step},
            "combine": {"of": branches, **step},
            "average": {"average": branches, **step},
        }[kind]


@st.composite
def graphs(draw: Callable[..., Any], *, is_nested: bool = False) -> RandomSpec:
    """A graph of classes in one folder, of one in a folder below, of a server, and of a nested graph."""
    prefix = "inner-" if is_nested else ""
    steps = _Steps(draw, ["iris", "iris-2", "scaler", *([] if is_nested else ["deep", "remote", "inner"])], prefix)
    tree: Tree = {"graph": steps.make(draw(st.integers(0, 1 if is_nested else 3))), "components": {}}
    folders: dict[str, Tree] = {}
    for name in sorted(steps.used):
        entry: Tree
        if name == "remote":
            entry = REMOTE
        elif name == "inner":
            entry = draw(graphs(is_nested=True)).tree
        elif name == "deep":
            file = _name_variables(name, draw(classes(_module(name), name)))
            folders[name] = file
            entry = {"path": name, **draw(mappings(parameters=PARAMETERS, version=st.just("9")))}
        else:
            entry = _name_variables(prefix + name, draw(classes("parts", name)))
        tree["components"][name] = entry
    if is_nested:
        return RandomSpec(tree)
    return RandomSpec({"name": draw(LABELS), **tree, **draw(sections())}, folders)


SPECS: st.SearchStrategy[RandomSpec] = classes().map(RandomSpec) | graphs()
