"""The lock files in requirements/: complete, installable from any index, and in step with pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
OWN = ["browser", "demo", "dev", "oldest", "ray", "runtimes"]
CLIENTS = ["client-kserve", "client-triton"]
LOCKS = [*OWN, *CLIENTS, "uv"]
PYTHONS = ["3.10.0", "3.10.13", "3.11.7", "3.12.1", "3.13.0"]
PIN = re.compile(r"(?P<requirement>[a-z0-9-]+==[\w.+]+(?: ; [^\\]+?)?)(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)")
GROUPS = {
    "browser": ["browser", "test"],
    "demo": ["build"],
    "dev": ["build", "docs", "lint", "test"],
    "oldest": ["test"],
    "ray": ["ray", "test"],
    "runtimes": ["runtimes", "test"],
    **{n: [n] for n in (*CLIENTS, "uv")},
}


def read_entries(lock: str) -> list[str]:
    """The entries of a lock file, each on one line and without comments."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def read_pins(lock: str, python: str) -> dict[str, str]:
    """The version of each package that a Python on Linux gets."""
    environment = {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": "linux",
        "platform_python_implementation": "CPython",
    }
    pins: dict[str, str] = {}
    for entry in read_entries(lock):
        requirement = Requirement(entry.partition(" --hash")[0])
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.name not in pins, "two pins of one package"
            (specifier,) = requirement.specifier
            pins[requirement.name] = specifier.version
    return pins


def read_requirements(lock: str, python: str) -> list[Requirement]:
    """What a lock file has to provide: its groups, and of our own the package's dependencies and the demo's example."""
    tomllib: Any = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    example = (ROOT / "examples" / "iris" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    groups = [project["dependency-groups"][group] for group in GROUPS[lock]]
    own = (project["project"]["dependencies"], example) if lock in OWN else ()
    found = [Requirement(line) for lines in (*own, *groups) for line in lines]
    environment = {"python_version": python.rpartition(".")[0], "sys_platform": "linux"}
    return [each for each in found if each.marker is None or each.marker.evaluate(environment)]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_is_a_pin_with_hashes_and_nothing_else(lock: str) -> None:
    """No option, URL or path: any index, mirror or folder of wheels can provide the files."""
    entries = read_entries(lock)
    assert entries
    assert [entry for entry in entries if not PIN.fullmatch(entry)] == []


@pytest.mark.parametrize(
    ("lock", "python"), [(lock, python) for lock in LOCKS for python in (PYTHONS if lock != "oldest" else PYTHONS[:2])]
)
def test_the_pins_satisfy_pyproject(lock: str, python: str) -> None:
    pins = read_pins(lock, python)
    unmet = [
        str(each)
        for each in read_requirements(lock, python)
        if not each.specifier.contains(pins.get(canonicalize_name(each.name), "0"))
    ]
    assert unmet == [], "run make lock"


@pytest.mark.parametrize("python", PYTHONS)
def test_the_demo_has_the_versions_of_the_tests(python: str) -> None:
    assert read_pins("demo", python).items() <= read_pins("dev", python).items()


@pytest.mark.parametrize("lock", LOCKS)
def test_nothing_for_accelerators_is_locked(lock: str) -> None:
    """Such a package would add gigabytes to every environment."""
    assert [entry for entry in read_entries(lock) if re.match(r"(torch|jax|tensorflow|nvidia|triton)\b", entry)] == []
