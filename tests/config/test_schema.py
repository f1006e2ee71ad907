"""The schema, the dataclasses and the table of variables say the same."""

from __future__ import annotations

import json
import keyword
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from seldon_spec.config.build_spec import plain
from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.config.deployment import DeploymentSpec, ReplicasSpec, ResourcesSpec
from seldon_spec.config.model import (
    AuthSpec,
    ComponentSpec,
    FlaskSpec,
    HealthcheckSpec,
    ImageSpec,
    LogSpec,
    PortsSpec,
    ServerSpec,
    ShutdownSpec,
    Spec,
    StepsSpec,
    TlsSpec,
)
from seldon_spec.config.schema import lookup
from seldon_spec.config.schema.fast_check import accepts

SECTIONS = {
    ("flask",): FlaskSpec(),
    ("ports",): PortsSpec(),
    ("server",): ServerSpec(),
    ("server", "tls"): TlsSpec("tls.crt", "tls.key"),
    ("server", "auth"): AuthSpec(()),
    ("server", "log"): LogSpec(),
    ("server", "shutdown"): ShutdownSpec(),
    ("image",): ImageSpec(),
    ("image", "steps"): StepsSpec(),
    ("image", "healthcheck"): HealthcheckSpec(),
    ("deployment",): DeploymentSpec(),
    ("deployment", "resources"): ResourcesSpec(),
    ("deployment", "replicas"): ReplicasSpec(1, 2),
}
NOT_IN_THE_FILE = {"folder", "file", "unit", "origins", "diagnostics", "digest", "loaded_at"}

GUIDE = """DEBUG EXPLAIN_TEMPLATE_LOADING JSONIFY_PRETTYPRINT_REGULAR JSON_SORT_KEYS PROPAGATE_EXCEPTIONS
    PRESERVE_CONTEXT_ON_EXCEPTION SESSION_COOKIE_HTTPONLY SESSION_COOKIE_SECURE SESSION_REFRESH_EACH_REQUEST
    TEMPLATES_AUTO_RELOAD TESTING TRAP_HTTP_EXCEPTIONS TRAP_BAD_REQUEST_ERRORS""".split()


def _keys(path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every key of the schema, sections among them."""
    schema = lookup.field_schema(path)
    assert schema is not None
    found = []
    for key, child in schema.get("properties", {}).items():
        found.append(((*path, key), child))
        if lookup.is_section(child):
            found += _keys((*path, key))
    return found


KEYS = [
    *_keys(),
    *((("graph", key), child) for key, child in lookup.load_schema()["$defs"]["step"]["properties"].items()),
]
ENTRY_KEYS = [
    (("components", "iris", key), child)
    for key, child in lookup.load_schema()["$defs"]["component"]["properties"].items()
]


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(lookup.load_schema())


@pytest.mark.parametrize(("path", "schema"), KEYS, ids=[lookup.join(path) for path, _ in KEYS])
def test_every_key_explains_itself(path: tuple[str, ...], schema: dict[str, Any]) -> None:
    """A title, a description that is a sentence, an example, and a default, given or derived, unless it is required."""
    assert schema["title"]
    assert schema["description"].endswith(".")
    assert schema["examples"]
    is_of_step = path[:1] == ("graph",) and len(path) > 1  # its kind decides which keys it needs
    assert is_of_step or ("default" in schema or "x-default" in schema) is not lookup.is_required(path)


@pytest.mark.parametrize(("path", "schema"), KEYS, ids=[lookup.join(path) for path, _ in KEYS])
def test_defaults_and_examples_are_allowed(path: tuple[str, ...], schema: dict[str, Any]) -> None:
    validator = Draft202012Validator(lookup.load_schema()).evolve(schema=lookup.resolve(schema))
    for value in [*schema["examples"], *([schema["default"]] if "default" in schema else [])]:
        assert list(validator.iter_errors(value)) == [], path


def test_no_object_is_open_by_accident() -> None:
    def walk(schema: Any, at: str) -> list[str]:
        if isinstance(schema, list):
            return [hit for item in schema for hit in walk(item, at)]
        if not isinstance(schema, dict):
            return []
        hits = [at] if "properties" in schema and schema.get("additionalProperties") is not False else []
        return hits + [hit for key, item in schema.items() for hit in walk(item, f"{at}/{key}")]

    schema = dict(lookup.load_schema())
    assert [hit for hit in walk(schema, "") if not hit.endswith("/properties")] == []


@pytest.mark.parametrize(("path", "section"), SECTIONS.items(), ids=[lookup.join(path) for path in SECTIONS])
def test_sections_have_the_dataclass_s_fields_and_defaults(path: tuple[str, ...], section: Any) -> None:
    schema = lookup.field_schema(path)
    assert schema is not None
    assert set(schema["properties"]) == {f.name for f in fields(section)}
    for key, child in schema["properties"].items():
        value = getattr(section, key)
        if not is_dataclass(value) and not lookup.is_required((*path, key)):
            assert plain(value) == child["default"], key


def test_the_top_level_has_the_spec_s_fields() -> None:
    in_dataclass = {f.name for f in fields(Spec)} - NOT_IN_THE_FILE
    assert set(lookup.load_schema()["properties"]) == in_dataclass
    for f in fields(Spec):
        schema = lookup.load_schema()["properties"].get(f.name, {})
        if f.default is not MISSING and "default" in schema and not is_dataclass(f.default):
            assert plain(f.default) == schema["default"], f.name


def test_entries_of_components_have_the_fields_of_both_dataclasses() -> None:
    """An entry has the keys of a spec, and those of a component that no spec has; `path` says where the spec is."""
    own = {f.name for f in fields(ComponentSpec)} - {"spec", "has_feedback"}
    of_a_spec = {f.name for f in fields(Spec)} - NOT_IN_THE_FILE
    assert {path[-1] for path, _ in ENTRY_KEYS} == own | of_a_spec | {"path"}


@pytest.mark.parametrize(("path", "schema"), ENTRY_KEYS, ids=[path[-1] for path, _ in ENTRY_KEYS])
def test_keys_of_entries_that_a_spec_has_are_those_of_the_spec(path: tuple[str, ...], schema: dict[str, Any]) -> None:
    if path[-1] in lookup.load_schema()["properties"]:
        assert schema == {"$ref": f"#/properties/{path[-1]}"}
        entry, own = lookup.field_schema(path) or {}, lookup.field_schema(path[2:]) or {}
        assert {**entry, "$ref": None} == {**own, "$ref": None}
    else:
        test_every_key_explains_itself(path, schema)
        test_defaults_and_examples_are_allowed(path, schema)


VALUES = [
    "iris", ["a", ["b", {"route": "r", "to": ["a", ["b"]]}]], {"split": {"a": 1, "b": 2.5}, "by": "X-User"},
    {"split": [1, 2], "to": ["a", "b"]}, {"predict": "a", "shadow": ["b"], "shadow_percent": 10}, {"average": []},
    5, None, [None], {"route": 1}, {"to": "a"}, {"split": {"a": "b"}}, {"by": ""}, {"shadow": {"x": 1}}, "", [[[""]]],
]  # fmt: skip
COMPONENTS = [
    "a", "", 5, None, {}, {"path": "a"}, {"url": "grpcs://a"}, {"url": "ftp://a"}, {"url": "http://[::1]:5/x"},
    {"parameters": {"a b": 1}}, {"parameters": [{"name": "a"}]}, {"components": {"b": {"graph": [1]}}},
    {"components": {"b": {"graph": ["x"], "server": {"workers": 2}}}}, {"token": {"from_env": "A", "from_file": "b"}},
]  # fmt: skip
TREES = [*({"graph": value} for value in VALUES), *({"components": {"c": value}} for value in COMPONENTS)]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_the_fast_check_follows_references_as_jsonschema_does(tree: dict[str, Any]) -> None:
    schema = lookup.load_schema()
    assert accepts(tree, schema, schema) is Draft202012Validator(schema).is_valid(tree)


ENTRIES = [
    (TensorSpec, ("inputs", "0"), set()),
    (ColumnSpec, ("inputs", "0", "columns", "0"), set()),
    (TensorSpec, ("outputs", "0"), {"as", "optional", "example"}),
    (ColumnSpec, ("outputs", "0", "columns", "0"), {"optional"}),
]


@pytest.mark.parametrize(
    ("entry", "path", "of_inputs"), ENTRIES, ids=[f"{path[0]}-{entry.__name__}" for entry, path, _ in ENTRIES]
)
def test_inputs_and_outputs_have_the_dataclass_s_fields_and_defaults(
    entry: type, path: tuple[str, ...], of_inputs: set[str]
) -> None:
    """A field whose name is a keyword of Python ends with an underscore, which the key does not have."""
    schema = lookup.field_schema(path)
    assert schema is not None
    assert set(schema["properties"]) == {f.name.rstrip("_") for f in fields(entry)} - of_inputs
    for f in fields(entry):
        assert f.name == f.name.rstrip("_") or keyword.iskeyword(f.name.rstrip("_"))
        child = schema["properties"].get(f.name.rstrip("_"), {})
        assert (f.default is MISSING) is (f.name in schema["required"])
        if "default" in child:
            assert plain(f.default) == child["default"], f.name


def test_the_guide_s_flask_settings_are_there() -> None:
    assert len(GUIDE) == 13
    assert set(GUIDE) <= {f.name for f in fields(FlaskSpec)}


def test_flask_s_own_settings_are_there() -> None:
    """Every builtin value of the installed Flask, and every default as Flask has it."""
    from flask import Flask

    for name, value in Flask.default_config.items():
        default = getattr(FlaskSpec(), name)
        if name == "PERMANENT_SESSION_LIFETIME":
            assert default == value.total_seconds()
        elif name != "DEBUG":  # Flask's None means: as FLASK_DEBUG says
            assert default == value, name


def test_the_schema_is_json_as_it_ships() -> None:
    assert json.loads(lookup.schema_text()) == lookup.load_schema()


PATHS = [
    ("server.workers", ("server", "workers")),
    ("server.log.level", ("server", "log", "level")),
    ("image.labels.org.example.team", ("image", "labels", "org.example.team")),
    ("parameters.a.b", ("parameters", "a.b")),
    ("nothing.here", ("nothing", "here")),
    ("components.iris-2.parameters.a.b", ("components", "iris-2", "parameters", "a.b")),
    ("components.a.components.b.server.workers", ("components", "a", "components", "b", "server", "workers")),
]


@pytest.mark.parametrize(("text", "path"), PATHS, ids=[text for text, _ in PATHS])
def test_a_dotted_key_is_a_path(text: str, path: tuple[str, ...]) -> None:
    assert lookup.split_path(text) == path


SENSITIVE = [("DB_PASSWORD", True), ("apiToken", True), ("SECRET_KEY", True), ("tokenizer", False), ("max_tokens", False),
             ("secretary", False), ("passwordless", False)]  # fmt: skip


@pytest.mark.parametrize(("name", "is_sensitive"), SENSITIVE, ids=[name for name, _ in SENSITIVE])
def test_names_of_secrets_are_known_by_their_words(name: str, *, is_sensitive: bool) -> None:
    assert lookup.is_sensitive((name,)) is is_sensitive


PLACES = [
    ("components.token-model", False), ("components.token-model.version", False),
    ("components.token-model.parameters.password", True), ("components.a.components.secrets.parameters.b", False),
    ("components.a.token", True), ("components.a.components.b.token", True), ("components.a.flask.SECRET_KEY", True),
    ("graph.split.token-model", False), ("components.a.graph.split.password", False),
]  # fmt: skip


@pytest.mark.parametrize(("key", "is_sensitive"), PLACES, ids=[key for key, _ in PLACES])
def test_names_of_components_are_not_those_of_secrets(key: str, *, is_sensitive: bool) -> None:
    assert lookup.is_sensitive(lookup.split_path(key)) is is_sensitive
