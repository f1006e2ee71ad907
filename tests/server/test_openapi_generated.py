"""Requests that schemathesis generates from ``/openapi.json``: valid ones and invalid ones, to a real server.

No response may be a server error, or have a status, a media type or a body that the document does not describe.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks

from tests.server.openapi_cases import CASES, TOKEN

if TYPE_CHECKING:
    from tests.conftest import Running

GENERATED = ["no contract", "columns", "table", "tensor", "several tensors", "image", "combiner", "auth"]
OF_CONTRACT = {"predict", "v2_infer", "aggregate", "v2_aggregate"}
"""The operations that a contract changes; the others are sent to the model without one."""

AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
SETTINGS = settings(
    max_examples=10,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", GENERATED)
def test_every_response_is_described(
    name: str, tmp_path: Path, serve_in_thread: Callable[..., AbstractContextManager[Running]]
) -> None:
    case = CASES[name]
    (tmp_path / "Model.py").write_text(case.make_source("Model"))
    with serve_in_thread(tmp_path, "Model", **case.fields) as running:
        document = json.loads(running.rest("GET", "/openapi.json", headers=AUTHORIZATION)[2])
        for item in document["paths"].values():
            for method, described in list(item.items()):
                del described["responses"]["default"]  # so that every status has to be listed
                if case.fields and name != "auth" and described["operationId"] not in OF_CONTRACT:
                    del item[method]
        # without a token, only probes succeed
        _check(document, f"http://127.0.0.1:{running.http_port}")


def _check(document: dict[str, Any], url: str) -> None:
    api: Any = schemathesis.openapi.from_dict(document)
    for found in api.get_all_operations():
        operation = found.ok()
        modes = list(schemathesis.GenerationMode) if operation.body else [schemathesis.GenerationMode.POSITIVE]
        for mode in modes:

            @SETTINGS
            @given(operation.as_strategy(generation_mode=mode))
            def send(case: Any) -> None:
                case.call_and_validate(base_url=url, checks=CHECKS)

            send()
