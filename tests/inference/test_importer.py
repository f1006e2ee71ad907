"""The class by its name: three ways to fail, three sentences, and the user's own error untouched."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.component.importer import import_class, imports_flask, split_class_name


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


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


@pytest.mark.parametrize("name", ["colorsys", "jinja2", "json"], ids=["stdlib", "installed", "imported"])
def test_the_class_of_a_shadowing_module_is_loaded_and_others_get_the_installed_one(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(f"import {name} as installed\nclass Model:\n    other = installed.__file__\n")
    found: Any = import_class(f"{name}.Model", tmp_path)
    assert not found.other.startswith(str(tmp_path))
    assert not str(importlib.import_module(name).__file__).startswith(str(tmp_path))
    assert sys.path[-1] == str(tmp_path)


def test_a_shadowing_package_keeps_its_relative_imports(tmp_path: Path) -> None:
    write(tmp_path, {"colorsys/__init__.py": "", "colorsys/model.py": "from .parts import Model\n"})
    write(tmp_path, {"colorsys/parts.py": "class Model: pass\n"})
    assert import_class("colorsys.model.Model", tmp_path).__name__ == "Model"


MODEL = """
import importlib, pickle, sys
class Model:
    number = NUMBER
    def read(self):
        import twin_parts
        from twin_parts import late
        return [
            twin_parts.NUMBER, late.NUMBER, importlib.import_module("twin_parts.later").NUMBER,
            importlib.import_module("twin_parts").NUMBER, sys.modules["twin_parts"].NUMBER,
            pickle.loads(pickle.dumps(self)).number, pickle.loads(b"ctwin_parts\\nNUMBER\\n."),
        ]
"""
"""Finds the number of its folder in every way in which Python code finds a module by its name."""

TOP = f"from twin_parts import NUMBER\n{MODEL}"
LAYOUTS = {
    "module": ("Twin.Model", {"Twin.py": TOP}),
    "whole": ("Whole.Model", {"Whole.py": f"import twin_parts\nNUMBER = twin_parts.NUMBER\n{MODEL}"}),
    "star": ("Star.Model", {"Star.py": f"from twin_parts import *\n{MODEL}"}),
    "package": (
        "twinpkg.model.Model",
        {
            "twinpkg/__init__.py": "",
            "twinpkg/model.py": f"from .parts import NUMBER\nfrom . import parts\n{MODEL}",
            "twinpkg/parts.py": "from twin_parts import NUMBER\n",
        },
    ),
    "namespace": ("twinspace.model.Model", {"twinspace/model.py": TOP}),
    "shadowing": ("colorsys.Model", {"colorsys.py": TOP}),
    "shadowing package": ("colorsys.model.Model", {"colorsys/model.py": TOP}),
}


@pytest.fixture(params=list(LAYOUTS.values()), ids=list(LAYOUTS))
def twins(request: pytest.FixtureRequest, tmp_path: Path) -> list[tuple[int, Any]]:
    """Classes of three folders whose modules have the same names, each with the number of its folder."""
    name, files = request.param
    classes: list[tuple[int, Any]] = []
    for number, folder in enumerate([tmp_path / "a", tmp_path / "b", tmp_path / "a" / "inner"]):
        parts = {"__init__": "", "late": "", "later": "from . import NUMBER as again\n"}
        write(folder, {f"twin_parts/{part}.py": f"{more}NUMBER = {number}\n" for part, more in parts.items()})
        write(folder, files)
        classes.append((number, import_class(name, folder)))
        assert import_class(name, folder) is classes[-1][1]
    return classes


def test_folders_with_modules_of_the_same_names(twins: list[tuple[int, Any]]) -> None:
    for number, user_class in twins * 2:
        assert user_class().read() == [number] * 7


def test_threads_of_several_folders_find_their_own_modules(twins: list[tuple[int, Any]]) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda twin: (twin[0], set(twin[1]().read())), twins * 50))
    assert all(numbers == {number} for number, numbers in found)


def test_an_import_that_fails_in_one_folder_only(tmp_path: Path) -> None:
    source = "try:\n    import half\nexcept {}:\n    half = None\nclass {}: half = half\n"
    write(tmp_path / "a", {"First.py": source.format("ZeroDivisionError", "First"), "half.py": ""})
    write(tmp_path / "b", {"Second.py": source.format("ZeroDivisionError", "Second"), "half.py": "1 / 0\n"})
    write(tmp_path / "c", {"Third.py": source.format("ImportError", "Third"), "half.py": "import no_such_module\n"})
    first: Any = import_class("First", tmp_path / "a")
    second: Any = import_class("Second", tmp_path / "b")
    third: Any = import_class("Third", tmp_path / "c")
    assert (first.half is None, second.half, third.half) == (False, None, None)


def test_the_caller_keeps_its_own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"caller/mine_too.py": "NUMBER = 1\n", "this/mine_too.py": "NUMBER = 2\n"})
    write(tmp_path, {"this/Class.py": "from mine_too import NUMBER\nclass Class: number = NUMBER\n"})
    monkeypatch.syspath_prepend(tmp_path / "caller")
    mine = importlib.import_module("mine_too")
    found: Any = import_class("Class", tmp_path / "this")
    assert (mine.NUMBER, importlib.import_module("mine_too").NUMBER, found.number) == (1, 1, 2)


@pytest.mark.parametrize("edited", ["Edited.py", "edited_parts.py"], ids=["class", "part"])
def test_an_edit_takes_effect_when_the_class_is_loaded_again(tmp_path: Path, edited: str) -> None:
    write(
        tmp_path, {"Edited.py": "from edited_parts import B\nclass Edited: a, b = 1, B\n", "edited_parts.py": "B = 1\n"}
    )
    first: Any = import_class("Edited", tmp_path)
    assert id(import_class("Edited", tmp_path)) == id(first)
    source = (tmp_path / edited).read_text()
    write(tmp_path, {edited: source.replace("1", "2")})  # of the same size, within the same second
    second: Any = import_class("Edited", tmp_path)
    assert (first.a, first.b) == (1, 1)
    assert sorted([second.a, second.b]) == [1, 2]


def test_a_module_that_the_caller_has_imported_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"Mine.py": "class Mine: pass\n"})
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("Mine")
    assert import_class("Mine", tmp_path) is mine.Mine


def test_a_module_of_another_folder_that_the_caller_has_imported_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"other/Theirs.py": "class Theirs: number = 1\n", "this/Theirs.py": "class Theirs: number = 2\n"})
    monkeypatch.syspath_prepend(tmp_path / "other")
    importlib.import_module("Theirs")
    found: Any = import_class("Theirs", tmp_path / "this")
    assert found.number == 2


def test_a_virtual_environment_in_the_folder_is_not_the_folders_code(tmp_path: Path) -> None:
    place = tmp_path / ".venv" / "lib" / "python3" / "site-packages"
    write(place, {"inner_installed.py": "import sys\nCOUNT = len(sys.modules)\n"})
    write(tmp_path, {"User.py": "class User: pass\n"})
    sys.path.append(str(place))
    installed = importlib.import_module("inner_installed")
    import_class("User", tmp_path)
    write(tmp_path / "x", {"User.py": "class User: pass\n"})
    import_class("User", tmp_path / "x")
    assert importlib.import_module("inner_installed") is installed


def test_what_imports_flask(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"WithFlask.py": "import json\nclass WithFlask:\n    def f(self):\n        from flask import request\n"},
    )
    write(tmp_path / "x", {"Without.py": "import json  # and import flask\nclass Without: pass\n"})
    import_class("WithFlask", tmp_path)
    import_class("Without", tmp_path / "x")
    assert imports_flask(tmp_path / "x") is False
    assert imports_flask(tmp_path) is True


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
