"""Validates Kubernetes objects without a cluster: by their schemas, with unknown fields as errors.

The schemas of Kubernetes' own kinds are those of the package kubernetes-validate; those of custom resources are
structural OpenAPI schemas in ``schemas/``, with the meaning that the API server gives them.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FOLDER = Path(__file__).parent / "schemas"

_DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_DNS_LABEL}(\.{_DNS_LABEL})*")
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_KEY = re.compile(
    rf"((?=[^/]{{1,253}}/){_DNS_LABEL}(\.{_DNS_LABEL})*/)?[A-Za-z0-9]([-\w.]{{0,61}}[A-Za-z0-9])?", re.ASCII
)

_RANGES = {"int32": 1 << 31, "int64": 1 << 63}
_EMBEDDED = frozenset({"apiVersion", "kind", "metadata"})
"""The keys that every object has, whether or not its schema declares them."""


def find_errors(document: Any) -> list[str]:
    """Return what an API server would reject in an object, as ``PATH: REASON``; an unknown kind is an error."""
    if not isinstance(document, dict):
        return [f".: {document!r} is not an object"]
    missing = [f".: {key} is missing" for key in ("apiVersion", "kind", "metadata") if key not in document]
    if missing:
        return missing
    validator = find_validator(document["apiVersion"], document["kind"])
    if validator is None:
        return [f".: no schema of {document['apiVersion']} {document['kind']}"]
    found = sorted(validator.iter_errors(document), key=lambda error: error.json_path)
    return [*(_describe(error) for error in found), *_check_metadata(document)]


def _describe(error: ValidationError) -> str:
    return f"{error.json_path.removeprefix('$').removeprefix('.') or '.'}: {error.message[:300]}"


def find_validator(version: str, kind: str) -> Any:
    """Return the validator of a kind; None if there is no schema of it."""
    file = _list_custom_schemas().get((version, kind))
    return _build_native_validator(version, kind) if file is None else _build_custom_validator(file, kind)


@functools.cache
def _list_custom_schemas() -> Mapping[tuple[str, str], Path]:
    files = {}
    for path in sorted(FOLDER.glob("*.json")):
        [group] = _read(path)["x-kubernetes-group-version-kind"]
        files[f"{group['group']}/{group['version']}", group["kind"]] = path
    files["monitoring.coreos.com/v1", "PodMonitor"] = files["monitoring.coreos.com/v1", "ServiceMonitor"]
    return files


def _read(path: Path) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


# ----- Kubernetes' own kinds


@functools.cache
def _build_native_validator(version: str, kind: str) -> Any:
    """Return the strict validator of the newest version of Kubernetes; None if it does not have the kind."""
    release = f"v{kubernetes_validate.latest_version()}-local-strict"
    folder = Path(str(resources.files("kubernetes_validate"))) / "kubernetes-json-schema" / release
    group, slash, number = version.partition("/")
    path = folder / f"{kind.lower()}-{group.split('.')[0]}{'-' if slash else ''}{number}.json"
    if not path.is_file():
        return None
    return _NativeValidator(_read(path), registry=_build_registry(folder))


@functools.cache
def _build_registry(folder: Path) -> Registry[Any]:
    definitions = DRAFT202012.create_resource(_read(folder / "_definitions.json"))
    return (definitions @ Registry()).crawl()


# ----- custom resources


@functools.cache
def _build_custom_validator(path: Path, kind: str) -> Any:
    schema = _read(path)
    if kind == "PodMonitor":  # its endpoints have the keys of a ServiceMonitor's
        spec = schema["properties"]["spec"]
        spec["properties"]["podMetricsEndpoints"] = spec["properties"].pop("endpoints")
        spec["required"] = ["podMetricsEndpoints", "selector"]
    return _StructuralValidator(schema)


def _check_type(validator: Any, expected: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if value is None and schema.get("nullable"):
        return
    if not validator.is_type(value, expected):
        yield ValidationError(f"{value!r} is not of type {expected!r}")
    elif expected == "object" and not _takes_unknown(schema):
        known = {*schema.get("properties", ()), *(_EMBEDDED if _is_object(schema) else ())}
        for key in value.keys() - known:
            yield ValidationError(f"unknown field {key!r}")


def _takes_unknown(schema: Mapping[str, Any]) -> bool:
    return "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields") is True


def _is_object(schema: Mapping[str, Any]) -> bool:
    """Return whether the value is an object of the API: the root, or one that is embedded in it."""
    return "x-kubernetes-group-version-kind" in schema or schema.get("x-kubernetes-embedded-resource") is True


def _check_properties(
    validator: Any, properties: Mapping[str, Any], value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if validator.is_type(value, "object"):
        for key, each in properties.items():
            # the metadata of an object has the same fields everywhere, and most schemas do not repeat them
            if key in value and not (key == "metadata" and _is_object(schema)):
                yield from validator.descend(value[key], each, path=key, schema_path=key)


def _check_enum(validator: Any, allowed: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if value not in allowed and not (value is None and schema.get("nullable")):
        yield ValidationError(f"{value!r} is not one of {allowed!r}")


def _check_format(validator: Any, name: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    limit = _RANGES.get(name)
    if limit is not None and validator.is_type(value, "integer") and not -limit <= value < limit:
        yield ValidationError(f"{value!r} is not an {name}")


def _check_int_or_string(validator: Any, is_either: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if is_either and not (validator.is_type(value, "integer") or validator.is_type(value, "string")):
        yield ValidationError(f"{value!r} is neither an integer nor a string")


def _check_embedded(validator: Any, is_embedded: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if is_embedded and isinstance(value, dict):
        for key in sorted(_EMBEDDED - {"metadata"} - value.keys()):
            yield ValidationError(f"{key!r} is a required property")


def _check_keys(validator: Any, keys: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    """Items of a list that is merged by keys are unique in them."""
    found = [tuple(item.get(key) for key in keys) for item in value if isinstance(item, dict)]
    for each in sorted({str(item) for item in found if found.count(item) > 1}):
        yield ValidationError(f"{each} occurs more than once")


_extend: Any = extend
_NativeValidator: Any = _extend(Draft202012Validator, {"x-kubernetes-list-map-keys": _check_keys})
_StructuralValidator: Any = _extend(
    Draft202012Validator,
    {
        "type": _check_type,
        "properties": _check_properties,
        "enum": _check_enum,
        "format": _check_format,
        "x-kubernetes-int-or-string": _check_int_or_string,
        "x-kubernetes-embedded-resource": _check_embedded,
        "x-kubernetes-list-map-keys": _check_keys,
    },
)


# ----- what schemas do not contain: the rules of names and labels


def _check_metadata(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the errors of an object's own metadata, and of the labels and annotations of templates in it."""
    metadata = document["metadata"]
    if not isinstance(metadata, dict):
        yield f"metadata: {metadata!r} is not an object"
        return
    rule = _SERVICE_NAME if document["kind"] == "Service" else _NAME
    if not rule.fullmatch(str(metadata.get("name", ""))):
        yield f"metadata.name: {metadata.get('name')!r} is not a valid name"
    unknown = metadata.keys() - {"annotations", "finalizers", "labels", "name", "namespace", "ownerReferences"}
    yield from (f"metadata: unknown field {key!r}" for key in sorted(unknown))
    yield from _check_labels(document, "")


def _check_labels(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check_labels(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            here = f"{path}.{key}".removeprefix(".")
            if isinstance(item, dict) and (here.endswith(("metadata.labels", "matchLabels", "metadata.annotations"))):
                yield from (f"{here}: {name!r} is not a valid key" for name in item if not _KEY.fullmatch(name))
                wrong = {name: text for name, text in item.items() if not isinstance(text, str)}
                yield from (f"{here}.{name}: {text!r} is not a string" for name, text in wrong.items())
                if not key.endswith("annotations"):
                    texts = [text for text in item.values() if isinstance(text, str)]
                    yield from (f"{here}: {t!r} is not a valid label" for t in texts if not _LABEL_VALUE.fullmatch(t))
            else:
                yield from _check_labels(item, here)
