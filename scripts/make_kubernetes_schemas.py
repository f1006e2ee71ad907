"""Write tests/deploy/schemas/ from schemas of custom resources: their structure, without descriptions.

Each argument is a JSON file with the ``openAPIV3Schema`` of one version of a CustomResourceDefinition, and the key
``x-kubernetes-group-version-kind`` beside its own: ``python scripts/make_kubernetes_schemas.py FILE...``. The README.md
in the folder names the versions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "tests" / "deploy" / "schemas"

DROPPED_KEYWORDS = frozenset(
    [
        *("$comment", "default", "description", "example", "examples", "externalDocs", "title"),
        *("x-kubernetes-list-type", "x-kubernetes-map-type", "x-kubernetes-validations"),
    ]
)
"""Texts, defaults, how fields are merged, and rules in CEL: no test evaluates them."""

_FRAMEWORKS = ("huggingface", "lightgbm", "model", "onnx", "paddle", "pmml", "pytorch", "sklearn", "tensorflow")

DROPPED_PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "InferenceService": (
        *("status", "spec.canary", "spec.explainer", "spec.transformer", "spec.predictor.workerSpec"),
        *(f"spec.predictor.{name}" for name in (*_FRAMEWORKS, "triton", "xgboost")),
    ),
    "InferenceGraph": ("status",),
    "RayService": ("status",),
    "SeldonDeployment": ("status", "spec.predictors.explainer"),
    "ServiceMonitor": ("status",),
}
"""The paths of properties that no manifest of this package contains; items of lists are not a part of a path."""


def strip_schema(schema: Mapping[str, Any], path: str, dropped: tuple[str, ...]) -> dict[str, Any]:
    """Return the structure of a schema.

    Args:
        schema: an OpenAPI schema.
        path: of the value that it describes, e.g. ``spec.predictor``.
        dropped: the paths of properties that are left out.
    """
    stripped: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            paths = {name: f"{path}.{name}".removeprefix(".") for name in value}
            stripped[key] = {
                name: strip_schema(each, paths[name], dropped)
                for name, each in value.items()
                if paths[name] not in dropped
            }
        elif key in ("items", "not") or (key == "additionalProperties" and isinstance(value, Mapping)):
            stripped[key] = strip_schema(value, path, dropped)
        elif key in ("allOf", "anyOf", "oneOf"):
            stripped[key] = [strip_schema(each, path, dropped) for each in value]
        elif key not in DROPPED_KEYWORDS:
            stripped[key] = value
    return stripped


def main(paths: list[str]) -> None:
    """Write one file for each argument, named by kind and version."""
    for path in paths:
        schema = json.loads(Path(path).read_text(encoding="utf-8"))
        [group] = schema["x-kubernetes-group-version-kind"]
        stripped = strip_schema(schema, "", DROPPED_PROPERTIES.get(group["kind"], ()))
        output = FOLDER / f"{group['kind'].lower()}-{group['version']}.json"
        text = json.dumps(stripped, separators=(",", ":"), sort_keys=True)
        output.write_text(f"{text}\n", encoding="utf-8")
        print(f"{output.name}: {output.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
