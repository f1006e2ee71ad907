"""Every contract test runs on each engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.config.model import ServerSpec

Given = tuple[Path, str, dict[str, Any]]


@pytest.fixture(scope="session", params=["native", "uvicorn"])
def spec_for(request: pytest.FixtureRequest) -> Callable[..., Given]:
    """What is to be served: the folder, the class's name and fields of the spec."""

    def make(folder: Path, class_name: str, **more: Any) -> Given:
        server = replace(more.pop("server", ServerSpec(host="127.0.0.1")), engine=request.param)
        return folder, class_name, {**more, "server": server}

    return make


@pytest.fixture(scope="session")
def serve_spec(serve_in_thread: Callable[..., AbstractContextManager[Any]]) -> Callable[[Given], Any]:
    """Serves what ``spec_for`` made."""
    return lambda given: serve_in_thread(given[0], given[1], **given[2])
