"""The suite's own options."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("seldon-spec")
    group.addoption("--rewrite-golden", action="store_true", help="write the golden files anew instead of comparing")
    group.addoption("--installed", action="store_true", help="the package under test has to be an installed wheel")
