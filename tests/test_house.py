"""The house: imports point one way, and only the top floor touches the process's environment."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

_spec = importlib.util.find_spec("seldon_spec")
assert _spec is not None
assert _spec.submodule_search_locations is not None
PACKAGE = Path(next(iter(_spec.submodule_search_locations)))

FLOORS: dict[str, int] = {
    "errors": 0,
    "proto": 0,
    "spec.model": 1,
    "payload.message": 1,
    "component.base": 2,
    "spec": 3,
    "payload": 3,
    "component": 3,
    "metrics": 3,
    "dispatch": 4,
    "render": 4,
    "migrate": 4,
    "server": 5,
    "compat": 5,
    "compat.environment": 6,
    "app": 6,
    "cli": 7,
    "__main__": 8,
}
"""Each room's floor; a longer name stands above its package's."""

MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"
)


def _room(module: str) -> str:
    """The longest entry of the table that the module is, or lies in."""
    return max((room for room in FLOORS if module == room or module.startswith(f"{room}.")), key=len)


@functools.cache
def _tree(module: str) -> ast.Module:
    base = PACKAGE / module.replace(".", "/")
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    return ast.parse(path.read_text())


def _imports(module: str) -> Iterator[str]:
    """The package's modules that a module imports, wherever in it the import stands."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "seldon_spec":
            source = (node.module or "").removeprefix("seldon_spec").removeprefix(".")
            for alias in node.names:
                whole = f"{source}.{alias.name}".removeprefix(".")
                if whole in MODULES:
                    yield whole
                elif source:
                    yield source
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("seldon_spec.") for a in node.names if a.name.startswith("seldon_spec."))


def test_every_module_has_a_floor() -> None:
    assert MODULES
    assert [module for module in MODULES if not any(module == r or module.startswith(f"{r}.") for r in FLOORS)] == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down_or_stay_in_the_room(module: str) -> None:
    """Two rooms of one floor do not know each other; modules of one package may."""
    here = _room(module)
    climbing = [
        target
        for target in _imports(module)
        if _room(target).split(".")[0] != here.split(".")[0] and FLOORS[_room(target)] >= FLOORS[here]
    ]
    assert climbing == []


def test_no_two_modules_import_each_other_in_a_ring() -> None:
    edges = {module: set(_imports(module)) - {module} for module in MODULES}
    while True:
        leaves = {module for module, targets in edges.items() if not targets & set(edges)}
        if not leaves:
            break
        edges = {module: targets for module, targets in edges.items() if module not in leaves}
    assert edges == {}


@pytest.mark.parametrize("module", [m for m in MODULES if FLOORS[_room(m)] < FLOORS["app"]])
def test_nothing_below_the_top_reads_the_process_s_environment(module: str) -> None:
    names = {node.attr for node in ast.walk(_tree(module)) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(_tree(module)) if isinstance(node, ast.Name)}
    assert not names & {"environ", "getenv", "environb", "putenv"} - _passed_in(module)


def _passed_in(module: str) -> set[str]:
    """``environ`` as an argument is the environment handed in."""
    arguments = {node.arg for node in ast.walk(_tree(module)) if isinstance(node, ast.arg)}
    imports_os_environ = any(
        isinstance(node, ast.Attribute)
        and node.attr == "environ"
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        for node in ast.walk(_tree(module))
    )
    return {"environ"} if "environ" in arguments and not imports_os_environ else set()


def test_there_is_no_room_without_a_purpose() -> None:
    assert [module for module in MODULES if module.split(".")[-1] in ("utils", "helpers", "common", "misc")] == []
