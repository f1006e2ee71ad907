"""The class by its name: three ways to fail, three sentences, and the user's own error untouched."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from seldon_spec.component.importer import import_class, split_class_name
from seldon_spec.errors import ComponentFailed


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("A", ("A", "A")), ("m.A", ("m", "A")), ("p.m.A", ("p.m", "A"))],
    ids=lambda value: str(value),
)
def test_names(name: str, expected: tuple[str, str]) -> None:
    assert split_class_name(name) == expected


def test_a_class_beside_the_file_and_in_a_package(tmp_path: Path) -> None:
    (tmp_path / "ImportedPlain.py").write_text("class ImportedPlain: pass\n")
    (tmp_path / "importedpkg").mkdir()
    (tmp_path / "importedpkg" / "module.py").write_text("class Inner: pass\n")
    assert import_class("ImportedPlain", tmp_path).__name__ == "ImportedPlain"
    assert import_class("importedpkg.module.Inner", tmp_path).__module__ == "importedpkg.module"


def test_installed_packages_come_first(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("raise RuntimeError('the local file was imported')\n")
    with pytest.raises(ComponentFailed, match="defines no class"):
        import_class("colorsys.Model", tmp_path)
    assert sys.path[-1] == str(tmp_path)


def test_a_function_that_makes_the_object_will_do(tmp_path: Path) -> None:
    (tmp_path / "MadeByFunction.py").write_text("def MadeByFunction(a=1):\n    return [a]\n")
    assert import_class("MadeByFunction", tmp_path)(a=2) == [2]


FAILURES = {
    "no-module": ("Nowhere", "", 'there is no module "Nowhere"'),
    "no-package": ("nowhere.module.A", "", 'there is no module "nowhere"'),
    "no-class": ("FailingModule.Other", "x = 1\n", 'defines no class "Other"'),
    "no-type": ("FailingModule.x", "x = 1\n", "is not a class but 1"),
}


@pytest.mark.parametrize(("name", "source", "text"), FAILURES.values(), ids=FAILURES.keys())
def test_failures_are_told_in_a_sentence(tmp_path: Path, name: str, source: str, text: str) -> None:
    (tmp_path / "FailingModule.py").write_text(source)
    with pytest.raises(ComponentFailed, match=text) as caught:
        import_class(name, tmp_path)
    assert caught.value.__cause__ is None


RAISING = {
    "import": ("import nothing_of_that_name\n", ModuleNotFoundError),
    "value": ("raise ValueError('mine')\n", ValueError),
    "exit": ("raise SystemExit(3)\n", SystemExit),
    "syntax": ("def\n", SyntaxError),
}


@pytest.mark.parametrize(("source", "kind"), RAISING.values(), ids=RAISING.keys())
def test_what_the_module_raises_is_the_cause(tmp_path: Path, source: str, kind: type[BaseException]) -> None:
    (tmp_path / "RaisingModule.py").write_text(source)
    with pytest.raises(ComponentFailed) as caught:
        import_class("RaisingModule", tmp_path)
    cause = caught.value.__cause__
    assert type(cause) is kind
    files = [Path(frame.filename).name for frame in traceback.extract_tb(cause.__traceback__)]
    assert set(files) <= {"RaisingModule.py"}
