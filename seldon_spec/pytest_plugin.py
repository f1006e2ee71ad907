"""A pytest plugin with the fixture ``seldon_server``: ``pytest_plugins = ["seldon_spec.pytest_plugin"]`` enables it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from seldon_spec.background import RunningServer, serve
from seldon_spec.config.model import Spec


class SeldonServer(Protocol):
    """Starts a server in this process; the options are those of ``seldon_spec.serve``."""

    def __call__(self, target: str | Path | Spec | type, **options: Any) -> RunningServer: ...


@pytest.fixture
def seldon_server() -> Iterator[SeldonServer]:
    """Start servers with ``seldon_server(target, **options)``; the end of the test stops them."""
    with ExitStack() as servers:
        yield lambda target, **options: servers.enter_context(serve(target, **options))
