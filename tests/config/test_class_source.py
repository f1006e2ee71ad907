"""What the sources say of a class, and what they leave open."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.class_rules import plain_types
from seldon_spec.config.checks.class_source import NoClass, NoModule, Unseen, read_class
from seldon_spec.config.checks.python_source import BadSource

FILES = {
    "M.py": "class M:\n    def __init__(self, a, b: int = 1, *args, c: str, **kw): ...\n    def predict(self, X): ...\n",
    "base.py": "class Base:\n    def __init__(self, e: float): ...\n    def route(self, X, names): ...\n",
    "child.py": "from base import Base\n\n\nclass Child(Base):\n    tags = None\n",
    "alias.py": "from base import Base as Renamed\n",
    "outside.py": "from elsewhere import Base\n\n\nclass Child(Base):\n    pass\n",
    "seldon.py": "from seldon_core.user_model import SeldonComponent\n\n\nclass Child(SeldonComponent):\n"
    "    def predict(self, X, names): ...\n",
    "dotted.py": "import base\n\n\nclass Child(base.Base):\n    pass\n",
    "decorated.py": "import d\n\n\n@d.wrap\nclass Child:\n    pass\n",
    "data.py": "from dataclasses import dataclass\n\n\n@dataclass\nclass Child:\n    x: int\n    def predict(self, X): ...\n",
    "getattr_.py": "class Child:\n    def __getattr__(self, name): ...\n",
    "meta.py": "class Child(metaclass=type):\n    pass\n",
    "guarded.py": "try:\n    import x\nexcept ImportError:\n    class Child:\n        def predict(self, X): ...\nelse:\n    pass\n",
    "assigned.py": "class Child:\n    pass\n\n\nChild = wrap(Child)\n",
    "star.py": "from elsewhere import *\n",
    "ring_a.py": "from ring_b import Child\n",
    "ring_b.py": "from ring_a import Child\n",
    "itself.py": "class Child(Child):\n    pass\n",
    "pkg/__init__.py": "from .impl import Model\n",
    "pkg/impl.py": "class Model:\n    async def predict(self, X): ...\n",
    "broken.py": "class Child(:\n",
    "nul.py": "\0",
    "deep.py": "x = " + "(" * 5000 + ")" * 5000,
    "onself.py": "class Child:\n    def __init__(self):\n        self.predict = lambda X, names: X\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sources")
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return root


def _class(folder: Path, name: str) -> ClassSource:
    found = read_class(folder, name)
    assert isinstance(found, ClassSource)
    return found


def test_arguments_and_hooks_are_seen(folder: Path) -> None:
    found = _class(folder, "M")
    assert found.takes_any
    assert found.is_whole
    assert found.arguments is not None
    assert [(a.name, a.annotation, a.is_required) for a in found.arguments] == [
        ("a", None, True),
        ("b", "int", False),
        ("c", "str", True),
    ]
    assert {"__init__", "predict"} <= found.hooks
    assert (found.position.file, found.position.line, found.position.column) == ("M.py", 1, 7)


def test_the_base_of_seldons_wrapper_has_no_hooks(folder: Path) -> None:
    found = _class(folder, "seldon.Child")
    assert found.is_whole
    assert found.hooks & {"predict", "send_feedback", "route"} == {"predict"}
    assert (found.arguments, found.takes_any) == ((), True)


def test_a_base_in_the_folder_gives_its_hooks_and_arguments(folder: Path) -> None:
    found = _class(folder, "child.Child")
    assert found.is_whole
    assert {"route", "tags"} <= found.hooks
    assert found.arguments is not None
    assert [a.name for a in found.arguments] == ["e"]


OPEN = ["outside.Child", "dotted.Child", "decorated.Child", "getattr_.Child", "meta.Child", "itself.Child"]


@pytest.mark.parametrize("name", OPEN)
def test_nothing_is_claimed_where_hooks_cannot_be_seen(folder: Path, name: str) -> None:
    assert not _class(folder, name).is_whole


@pytest.mark.parametrize("name", ["assigned.Child", "star.Anything", "ring_a.Child", "dotted.base"])
def test_a_name_that_cannot_be_followed_is_unseen(folder: Path, name: str) -> None:
    assert isinstance(read_class(folder, name), Unseen)


SEEN = [
    ("alias.Renamed", "route"),
    ("guarded.Child", "predict"),
    ("pkg.Model", "predict"),
    ("pkg.impl.Model", "predict"),
    ("onself.Child", "predict"),
    ("data.Child", "predict"),
]


@pytest.mark.parametrize(("name", "hook"), SEEN, ids=[name for name, _ in SEEN])
def test_a_class_is_followed_through_the_folder(folder: Path, name: str, hook: str) -> None:
    assert hook in _class(folder, name).hooks


FIELDS = [
    ("dataclass", "@dataclass\nclass M:\n    a: int\n    b: int = 1\n    c: list = field(default_factory=list)\n    D: ClassVar[int] = 2\n    e: int = field(init=False)\n    f: int = field(repr=False)\n", {"a": True, "b": False, "c": False, "f": True}),
    ("dataclass with a base", "@dataclass\nclass M(Other):\n    a: int\n", None),
    ("pydantic", "from pydantic import BaseModel, Field\nclass M(BaseModel):\n    a: int\n    b: int = 1\n    c: int = Field(...)\n    d: int = Field(default=1)\n    e: int = Field(3)\n    f: int = Field(gt=1)\n", {"a": True, "b": False, "c": True, "d": False, "e": False, "f": True}),
    ("pydantic by its module", "import pydantic\nclass M(pydantic.BaseModel):\n    a: int\n", {"a": True}),
    ("a BaseModel of another", "from x import BaseModel\nclass M(BaseModel):\n    a: int\n", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "required"), [row[1:] for row in FIELDS], ids=[row[0] for row in FIELDS])
def test_the_fields_of_a_data_class_are_its_arguments(
    tmp_path: Path, text: str, required: dict[str, bool] | None
) -> None:
    (tmp_path / "m.py").write_text(text)
    arguments = _class(tmp_path, "m.M").arguments
    assert (None if arguments is None else {a.name: a.is_required for a in arguments}) == required


@pytest.mark.parametrize("name", ["broken.Child", "nul.Child", "deep.Child"])
def test_a_file_that_is_not_python_is_reported(folder: Path, name: str) -> None:
    assert isinstance(read_class(folder, name), BadSource)


def test_a_missing_class_names_those_that_are_there(folder: Path) -> None:
    assert read_class(folder, "base.Bse") == NoClass("base.py", "Bse", ("Base",))


def test_a_missing_module_names_the_home_of_the_class(folder: Path) -> None:
    found = read_class(folder, "Base")
    assert isinstance(found, NoModule)
    assert found.homes == ("base",)


TYPES = [
    ("int", {int}),
    ("float | None", {float, type(None)}),
    ("Optional[str]", {str, type(None)}),
    ("List[int]", {list}),
    ("'dict[str, int]'", {dict}),
    ("np.ndarray", None),
    ("Literal['a']", None),
    ("int | MyType", None),
    ("(", None),
]


@pytest.mark.parametrize(("annotation", "types"), TYPES, ids=[text for text, _ in TYPES])
def test_only_builtin_annotations_are_judged(annotation: str, types: set[type] | None) -> None:
    assert plain_types(annotation) == (None if types is None else frozenset(types))


@given(st.text())
def test_any_source_gives_a_finding(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "M.py").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert isinstance(read_class(folder, "M"), (ClassSource, Unseen, NoClass, BadSource))
