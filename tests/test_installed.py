"""The wheel is whole, and with ``--installed`` it is what the suite runs on."""

from __future__ import annotations

import re
import sys
from importlib import resources
from pathlib import Path

import pytest

import seldon_spec

ROOT = Path(__file__).parents[1]


def test_the_package_is_the_installed_one(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--installed"):
        pytest.skip("run on the source tree")
    assert seldon_spec.__file__ is not None
    assert "site-packages" in Path(seldon_spec.__file__).parts
    assert str(ROOT) not in sys.path


@pytest.mark.parametrize(
    "file",
    [
        "py.typed",
        "schemas/seldon.schema.json",
        "schemas/prediction.proto",
        "protocols/seldon_v1/proto/prediction.binpb",
        "server/site/page.css",
        "server/site/page.js",
        "server/site/graph.css",
        "server/site/graph.js",
    ],
)
def test_the_package_carries_its_data(file: str) -> None:
    assert resources.files("seldon_spec").joinpath(file).is_file()


@pytest.mark.parametrize("file", ["seldon.schema.json", "prediction.proto"])
def test_the_schemas_are_those_of_the_tree(file: str) -> None:
    assert (resources.files("seldon_spec") / "schemas" / file).read_bytes() == (ROOT / "schemas" / file).read_bytes()


def test_the_oldest_dependencies_are_those_that_are_allowed() -> None:
    """``make test-oldest`` runs on the lower bounds of pyproject.toml, each of them."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    needed = "".join(re.findall(r"^(?:dependencies|tracing|uvicorn) = \[.*?\]$", project, re.MULTILINE | re.DOTALL))
    bounds = dict(re.findall(r'"([a-z-]+)>=([\d.]+)"', needed))
    oldest = dict(re.findall(r"^([a-z-]+)==([\d.]+?)(?:\.\*)?$", (ROOT / "tests/oldest.txt").read_text(), re.MULTILINE))
    assert bounds
    assert {name: oldest.get(name) for name in bounds} == bounds
