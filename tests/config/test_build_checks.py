"""What ``validate`` reports before an image is built: requirements, imports, files and bases."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from seldon_spec.config.loader import FOR_IMAGE, load
from seldon_spec.errors import Severity, SpecError

CLASS = "class MyModel:\n    def predict(self, X, names):\n        return X\n"
Files = Mapping[str, str | bytes]
NO_FILES: Files = MappingProxyType({})


def write(folder: Path, files: Files) -> None:
    for name, content in {"MyModel.py": CLASS, "seldon.yaml": "class_name: MyModel\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def found(folder: Path, files: Files = NO_FILES, image: str = "") -> list[str]:
    """Write a folder and return each finding: severity, code and place, e.g. ``error limit requirements.txt:1``."""
    write(folder, files)
    if image:
        (folder / "seldon.yaml").write_text(f"class_name: MyModel\nimage: {image}\n")
    return list(_describe(folder))


def _describe(folder: Path) -> Iterator[str]:
    try:
        diagnostics = load(folder, {}, options=FOR_IMAGE).diagnostics
    except SpecError as error:
        diagnostics = error.diagnostics
    for each in diagnostics:
        place = each.origin.position
        assert place is not None
        where = os.path.relpath(place.file, folder)
        yield f"{each.severity.value} {each.code} {where}:{place.line}"


def helps(folder: Path) -> list[str | None]:
    try:
        return [each.help for each in load(folder, {}, options=FOR_IMAGE).diagnostics]
    except SpecError as error:
        return [each.help for each in error.diagnostics if each.severity is Severity.ERROR]


INSTALLABLE = [
    "pandas",
    "pandas==2.2.3  # comment",
    "pandas >=2,<3 ; python_version > '3.9'",
    "pandas[excel,plot]>=2",
    "pandas (>=2)",
    "pandas==2.*",
    "pandas~=2.1",
    "pandas===2.0",
    "pandas==2.2.3 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01",
    "pandas \\\n    >=2",
    "pandas --config-settings=x=y",
    "https://example.com/lib-1.0-py3-none-any.whl",
    "https://example.com/lib-1.0.tar.gz#sha256=00",
    "lib @ https://example.com/lib-1.0.tar.gz",
    "lib@https://example.com/lib-1.0.zip ; python_version >= '3'",
    "./lib",
    "-e ./lib",
    "--editable=lib",
    "./lib[gpu]",
    "lib @ file:./lib",
    "lib @ file:///microservice/lib",
    "wheels/a-1-py3-none-any.whl",
    "wheels/b-1-cp312-cp312-manylinux_2_17_x86_64.whl",
    "wheels/c-1-cp38-abi3-linux_x86_64.whl",
    "-f wheels",
    "--find-links=https://example.com/wheels",
    "-i https://pypi.example.com/simple",
    "--index-url=https://pypi.example.com/simple",
    "--extra-index-url https://pypi.example.com/simple\ntorch==2.1.0+cpu",
    "--pre\n--no-binary :all:\n--only-binary=numpy\n--trusted-host h\n--prefer-binary\n--use-feature=fast-deps",
    "-r more.txt",
    "-rmore.txt",
    "--requirement=more.txt",
    "-c more.txt",
    "-r https://example.com/more.txt",
    "# pandas=1.0",
    "",
    "pywin32==306 ; sys_platform == 'win32'",
    "pandas==1.0 ; python_version < '3.8'",
    "x @ file:///C:/x.whl ; sys_platform == 'win32'",
    "numpy>=1.26",
    "numpy<3",
    "numpy>1.25",
    "numpy!=1.26",
    "numpy>=1.21,<2.5",
    "numpy==2.*",
    "protobuf>=3.20,<6",
    "protobuf~=4.25",
    "protobuf<5",
    "werkzeug>=2",
    "seldon-spec>=0.1.0,<1",
    "PyYAML==6.0.1",
    "Flask<4",
    "pandas==" + "1" * 6000,
]


@pytest.mark.parametrize("text", INSTALLABLE)
def test_what_can_be_installed_is_not_reported(text: str, tmp_path: Path) -> None:
    names = ["a-1-py3-none-any.whl", "b-1-cp312-cp312-manylinux_2_17_x86_64.whl", "c-1-cp38-abi3-linux_x86_64.whl"]
    files = {f"wheels/{name}": "" for name in names}
    assert found(tmp_path, {"requirements.txt": text, "more.txt": "six", "lib/setup.py": "", **files}) == []


BAD = [
    ("pandas=1.0", "bad-requirement", 'did you mean "pandas==1.0"?'),
    ("scikit learn", "bad-requirement", 'did you mean "scikit-learn"?'),
    ("pandas 1.0", "bad-requirement", 'did you mean "pandas==1.0"?'),
    ("pandas=>1.0", "bad-requirement", 'did you mean "pandas>=1.0"?'),
    ("pandas: 1.0", "bad-requirement", 'did you mean "pandas==1.0"?'),
    ("pandas^1.0", "bad-requirement", 'did you mean "pandas~=1.0"?'),
    ("pandas==v", "bad-requirement", None),
    ("pandas>=1.0.*", "bad-requirement", 'did you mean "pandas>=1.0"?'),
    ('"pandas==1.0"', "bad-requirement", 'did you mean "pandas==1.0"?'),
    ("pandas==1.0 numpy", "bad-requirement", None),
    ("pandas; python_version", "bad-requirement", None),
    ("pandas[", "bad-requirement", None),
    ("import pandas", "bad-requirement", "write the name of the package alone"),
    ("pip install pandas", "bad-requirement", "write the name of the package alone"),
    ("$ pip install pandas", "bad-requirement", "write the name of the package alone"),
    ("Package    Version", "bad-requirement", "write the list in the format of pip freeze"),
    ("- pandas", "bad-requirement", 'did you mean "pandas"?'),
    ("numpy=1.26.2=py39hdbf815f_0", "bad-requirement", 'did you mean "numpy==1.26.2"?'),
    ("p\0a\0", "bad-requirement", "save the file as UTF-8"),
    ("python==3.10", "bad-requirement", "delete the line: image.python sets the version"),
    ("numpy>=2,<1", "requirement-conflict", None),
    ("@EXPLICIT", "bad-requirement", None),
    ("<<<<<<< HEAD", "bad-requirement", None),
    ("--no-such-option", "bad-requirement", "delete it"),
    ("--process-dependency-links", "bad-requirement", "delete it"),
    ("sklearn", "bad-requirement", "write scikit-learn"),
    ("pkg-resources==0.0.0", "bad-requirement", None),
    ("pywin32==306", "bad-requirement", None),
    ("torch==2.1.0+cu118", "bad-requirement", None),
    ("numpy @ file:///home/conda/feedstock_root/numpy/work", "bad-requirement", None),
    ("/opt/wheels/x-1-py3-none-any.whl", "bad-requirement", None),
    ("-e /home/me/lib", "bad-requirement", None),
    ("C:\\wheels\\x-1-py3-none-any.whl", "bad-requirement", None),
    ("./lib-without-setup", "bad-requirement", None),
    ("./MyModel.py", "bad-requirement", None),
    (".", "bad-requirement", None),
    ("-e .", "bad-requirement", None),
    ("wheels/x-1-cp39-cp39-linux_x86_64.whl", "bad-requirement", None),
    ("wheels/x-1-cp312-cp312-win_amd64.whl", "bad-requirement", None),
    ("wheels/x-1-cp312-cp312-macosx_11_0_arm64.whl", "bad-requirement", None),
    ("https://example.com/x-1-cp39-cp39-linux_x86_64.whl", "bad-requirement", None),
    ("wheels/x.whl", "bad-requirement", None),
    ("git+https://example.com/lib.git@v1", "bad-requirement", "add image.build_packages: [git]"),
    ("lib @ git+https://example.com/lib.git@v1", "bad-requirement", "add image.build_packages: [git]"),
    ("-e git+ssh://git@example.com/lib.git#egg=lib", "bad-requirement", "add image.build_packages: [git]"),
    ("hg+https://example.com/lib", "bad-requirement", "add image.build_packages: [mercurial]"),
    ("./nolib", "no-such-file", None),
    ("nolib/x-1-py3-none-any.whl", "no-such-file", None),
    ("x-1-py3-none-any.whl", "no-such-file", None),
    ("-e nolib", "no-such-file", None),
    ("-f nolinks", "no-such-file", None),
    ("../lib", "outside-folder", None),
    ("-r missing.txt", "no-such-file", None),
    ("-c missing.txt", "no-such-file", None),
    ("-r sub\\base.txt", "no-such-file", 'write "/" between directories'),
    ("-r a-folder", "no-such-file", None),
    ("-r ../outside.txt", "outside-folder", None),
    ("-r /etc/hostname", "outside-folder", None),
    ("-r link.txt", "outside-folder", None),
    ("-r requirements.txt", "bad-requirement", "delete the line"),
    ("-r ring.txt", "bad-requirement", None),
    ("protobuf==3.20.1", "requirement-conflict", "write protobuf>=4.25, or delete the line"),
    ("protobuf<4", "requirement-conflict", None),
    ("protobuf~=3.20", "requirement-conflict", None),
    ("numpy==1.21", "requirement-conflict", None),
    ("numpy==1.21.*", "requirement-conflict", None),
    ("numpy<=1.25", "requirement-conflict", None),
    ("flask<2 ; python_version >= '3.8'", "requirement-conflict", None),
    ("Werkzeug==1.0.1", "requirement-conflict", None),
    ("pandas==1.0\npandas==2.0", "requirement-conflict", "keep one of the lines"),
    ("pandas<2\npandas>=2", "requirement-conflict", None),
]


@pytest.mark.parametrize(("text", "code", "help_text"), BAD, ids=[row[0][:40] for row in BAD])
def test_what_cannot_be_installed_is_an_error_at_its_line(
    text: str, code: str, help_text: str | None, tmp_path: Path
) -> None:
    wheels = ["x-1-cp39-cp39-linux_x86_64.whl", "x-1-cp312-cp312-win_amd64.whl"]
    names = [*wheels, "x-1-cp312-cp312-macosx_11_0_arm64.whl", "x.whl"]
    folder = tmp_path / "in"
    write(
        folder,
        {
            "requirements.txt": f"# first\n{text}\n",
            "ring.txt": "-r ring2.txt\n",
            "ring2.txt": "-r ring.txt\n",
            "a-folder/a": "",
            "lib-without-setup/a.py": "",
            **{f"wheels/{name}": "" for name in names},
        },
    )
    (tmp_path / "outside.txt").write_text("six\n")
    (tmp_path / "lib").mkdir()
    (folder / "link.txt").symlink_to("../outside.txt")
    reported = list(_describe(folder))
    place = "ring2.txt:1" if "ring.txt" in text else f"requirements.txt:{1 + len(text.splitlines())}"
    assert reported == [f"error {code} {place}"]
    if help_text is not None:
        assert helps(folder) == [help_text]


ENCODINGS = [
    ("utf-8-bom", b"\xef\xbb\xbf", "utf-8"),
    ("utf-16-le", b"\xff\xfe", "utf-16-le"),
    ("utf-16-be", b"\xfe\xff", "utf-16-be"),
    ("utf-32-le", b"\xff\xfe\x00\x00", "utf-32-le"),
    ("coding-line", b"", "latin-1"),
]


@pytest.mark.parametrize(("mark", "encoding"), [row[1:] for row in ENCODINGS], ids=[row[0] for row in ENCODINGS])
def test_requirements_are_decoded_as_pip_decodes_them(mark: bytes, encoding: str, tmp_path: Path) -> None:
    text = "# -*- coding: latin-1 -*-\n# caf\u00e9\npandas=1\n-r missing.txt\n"
    data = mark + text.encode(encoding)
    assert found(tmp_path, {"requirements.txt": data}) == [
        "error bad-requirement requirements.txt:3",
        "error no-such-file requirements.txt:4",
    ]


def test_an_encoding_that_pip_cannot_guess_is_an_error(tmp_path: Path) -> None:
    assert found(tmp_path, {"requirements.txt": "six  # caf\u00e9\n".encode("latin-1")}) == [
        "error encoding requirements.txt:1"
    ]


def test_a_variable_that_the_build_does_not_set_is_a_warning(tmp_path: Path) -> None:
    text = "--extra-index-url https://${TOKEN}@pypi.example.com/simple\n"
    assert found(tmp_path, {"requirements.txt": text}) == ["warning bad-requirement requirements.txt:1"]
    assert found(tmp_path, {}, "{steps: {before: ['ARG TOKEN']}}") == []


def test_a_password_in_a_bad_line_is_not_shown(tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": "pandas = https://me:hunter2@example.com\n"})
    with pytest.raises(SpecError) as raised:
        load(tmp_path, {}, options=FOR_IMAGE)
    assert "hunter2" not in repr(raised.value.diagnostics)


TARGETS = [
    ("wheels/x-1-cp310-cp310-linux_x86_64.whl", "{python: '3.10'}", []),
    ("git+https://example.com/x.git", "{build_packages: [git]}", []),
    ("git+https://example.com/x.git", "{system_packages: ['git=1:2.39']}", []),
    ("git+https://example.com/x.git", "{steps: {before: ['RUN apt-get install git']}}", []),
    (
        "git+https://example.com/x.git",
        "{base: 'registry.example.com/ml:1'}",
        ["warning bad-requirement requirements.txt:1"],
    ),
    ("torch==2.1.0+cu118", "{extra_index_urls: ['https://example.com/simple']}", []),
    ("/opt/x-1-py3-none-any.whl", "{base: 'registry.example.com/ml:1'}", []),
    ("sklearn", "{index_url: 'https://example.com/simple'}", []),
    ("pandas=1 ; python_version < '3.11'", "{python: '3.12'}", ["error bad-requirement requirements.txt:1"]),
    ("numpy==1.20 ; python_version < '3.11'", "{python: '3.12'}", []),
    ("numpy==1.20 ; python_version < '3.11'", "{python: '3.10'}", ["error requirement-conflict requirements.txt:1"]),
    ("numpy==1.20 ; python_version < '3.11'", "{base: 'python:3.12'}", []),
    ("lib @ file:///app/lib", "{workdir: /app}", []),
]


@pytest.mark.parametrize(("text", "image", "expected"), TARGETS)
def test_a_requirement_is_judged_for_its_image(text: str, image: str, expected: list[str], tmp_path: Path) -> None:
    files = {"requirements.txt": text, "wheels/x-1-cp310-cp310-linux_x86_64.whl": "", "lib/setup.py": ""}
    assert found(tmp_path, files, image) == expected


FORMS: list[tuple[str, str, Files, str, list[str]]] = [
    ("conda", "conda.yaml", {}, "dependencies:\n- python=3.12\n- pip:\n  - pandas\n", []),
    ("conda-old-python", "env.yml", {}, "dependencies:\n- python=3.8\n", ["error requirement-conflict env.yml:2"]),
    ("conda-pip-line", "e.yml", {}, "dependencies:\n- python\n- pip:\n  - pandas=1\n", ["error bad-requirement e.yml:4"]),
    ("conda-include", "e.yml", {}, "dependencies:\n- pip:\n  - -r x.txt\n", ["error no-such-file e.yml:3"]),
    ("not-conda", "values.yaml", {}, "a: 1\n", ["error bad-requirement values.yaml:1"]),
    ("broken-yaml", "e.yml", {}, "a: [\n", ["error yaml-syntax e.yml:2"]),
    ("project", "pyproject.toml", {}, "[project]\nname = 'x'\ndependencies = ['pandas']\n", []),
    ("project-bad", "pyproject.toml", {}, "[project]\ndependencies = [\n 'pandas=1',\n]\n", ["error bad-requirement pyproject.toml:3"]),
    ("project-conflict", "pyproject.toml", {}, "[project]\ndependencies = ['numpy<1.20']\n", ["error requirement-conflict pyproject.toml:2"]),
    ("project-without-any", "pyproject.toml", {}, "[project]\nname = 'x'\n", []),
    ("poetry", "pyproject.toml", {}, "[tool.poetry]\nname = 'x'\n[tool.poetry.dependencies]\nnumpy = '^1'\n", ["error bad-requirement pyproject.toml:1"]),
    ("poetry-2", "pyproject.toml", {}, "[project]\ndependencies = ['six']\n[tool.poetry]\npackage-mode = false\n", []),
    ("groups-only", "pyproject.toml", {}, "[dependency-groups]\nmain = ['six']\n", ["error bad-requirement pyproject.toml:1"]),
    ("no-toml", "pyproject.toml", {}, "[project\n", ["error bad-requirement pyproject.toml:1"]),
    ("tools-only", "pyproject.toml", {}, "[tool.ruff]\n", ["error bad-requirement pyproject.toml:1"]),
    ("dynamic", "pyproject.toml", {}, "[project]\nname = 'x'\ndynamic = ['dependencies']\n", []),
    ("lock", "uv.lock", {"pyproject.toml": "[project]\n"}, 'version = 1\n[[package]]\nname = "six"\n', []),
    ("pipfile", "Pipfile", {}, "[packages]\nsix = '*'\n", ["error requirements-form seldon.yaml:2"]),
    ("poetry-lock", "poetry.lock", {}, "[[package]]\n", ["error requirements-form seldon.yaml:2"]),
    ("setup", "setup.py", {}, "from setuptools import setup\n", ["error requirements-form seldon.yaml:2"]),
    ("yaml-as-text", "env.txt", {}, "name: x\n", ["error bad-requirement env.txt:1"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "files", "text", "expected"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS]
)
def test_a_file_of_any_form_is_read_as_its_installer_reads_it(
    name: str, files: Files, text: str, expected: list[str], tmp_path: Path
) -> None:
    assert found(tmp_path, {name: text, **files}, f"{{requirements: {name}}}") == expected


def test_a_link_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("hunter2=1\n")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "requirements.txt").symlink_to("../outside.txt")
    assert found(tmp_path / "in") == ["error outside-folder seldon.yaml:1"]


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "requirements.txt")
    assert found(tmp_path) == ["error no-such-file seldon.yaml:1"]


def test_a_chain_of_includes_is_bounded(tmp_path: Path) -> None:
    chain = {f"r{number}.txt": f"-r r{number + 1}.txt\n" for number in range(1000)}
    assert found(tmp_path, {"requirements.txt": "-r r0.txt\n", **chain}) == ["error limit r98.txt:1"]


def test_a_line_without_a_hash_is_reported_where_another_has_one(tmp_path: Path) -> None:
    text = "six==1.16.0 --hash=sha256:00\nidna==3.7\n"
    assert found(tmp_path, {"requirements.txt": text}) == ["error bad-requirement requirements.txt:2"]


def test_a_lock_file_of_uv_needs_its_project(tmp_path: Path) -> None:
    files = {"uv.lock": "version = 1\n"}
    assert found(tmp_path, files, "{requirements: uv.lock}") == ["error no-such-file uv.lock:1"]


@pytest.mark.parametrize("target", ["loop.pem", "/dev/zero", "nowhere"])
def test_a_link_named_like_a_key_is_not_followed(target: str, tmp_path: Path) -> None:
    (tmp_path / "loop.pem").symlink_to(target)
    assert found(tmp_path, {}) == []


def test_large_requirements_are_not_read(tmp_path: Path) -> None:
    assert found(tmp_path, {"requirements.txt": b"a\n" * 200_000}) == ["error limit requirements.txt:1"]


PANDAS = "import pandas\n" + CLASS
ERROR = ["error missing-requirement MyModel.py:1"]
WARNING = ["warning missing-requirement MyModel.py:1"]
IMPORTS: list[tuple[str, str, Files, str, list[str]]] = [
    ("missing", "import pandas", {}, "", ERROR),
    ("from", "from pandas.io import sql", {}, "", ERROR),
    ("there", "import pandas", {"requirements.txt": "Pandas>=2"}, "", []),
    ("included", "import pandas", {"requirements.txt": "-r a.txt", "a.txt": "pandas"}, "", []),
    ("constraint-only", "import pandas", {"requirements.txt": "-c a.txt", "a.txt": "pandas"}, "", ERROR),
    ("not-for-linux", "import pandas", {"requirements.txt": "pandas ; sys_platform == 'win32'"}, "", ERROR),
    ("other-name", "import sklearn, cv2, PIL, yaml", {"requirements.txt": "scikit-learn\nopencv-python\npillow"}, "", []),
    ("namespace", "from google.cloud import storage", {"requirements.txt": "google-cloud-storage"}, "", []),
    ("azure", "import azure.storage.blob", {"requirements.txt": "azure-storage-blob"}, "", []),
    ("underscore", "import typing_extensions", {"requirements.txt": "typing-extensions"}, "", []),
    ("py-prefix", "import jwt, github, redis", {"requirements.txt": "PyJWT\nPyGithub\nredis"}, "", []),
    ("brought-along", "import scipy, joblib", {"requirements.txt": "scikit-learn"}, "", []),
    ("not-brought-along", "import sklearn", {"requirements.txt": "xgboost"}, "", ERROR),
    ("stubs", "import requests", {"requirements.txt": "types-requests"}, "", WARNING),
    ("extra", "import torch, numpy", {"requirements.txt": "transformers[torch]"}, "", []),
    ("extra-unknown", "import pandas", {"requirements.txt": "transformers[vision]"}, "", WARNING),
    ("own-extra", "import opentelemetry.sdk.trace", {"requirements.txt": "seldon-spec[tracing]"}, "", []),
    ("repository", "import acme", {"requirements.txt": "git+https://x.example/acme.git@v1"}, "{build_packages: [git]}", []),
    ("egg", "import acme", {"requirements.txt": "-e git+https://x.example/y.git#egg=acme"}, "{build_packages: [git]}", []),
    ("wheel", "import acme", {"requirements.txt": "https://x.example/acme-1.0-py3-none-any.whl"}, "", []),
    ("directory", "import acme", {"requirements.txt": "./lib", "lib/setup.py": "", "lib/src/acme/__init__.py": ""}, "", []),
    ("step-after", "import torch", {}, "{steps: {after: ['RUN pip install torch']}}", WARNING),
    ("grpc", "import grpc, paddle, skopt", {"requirements.txt": "paddlepaddle-gpu\nscikit-optimize"}, "", []),
    ("python-2", "import six\nif six.PY2:\n    import Queue", {"requirements.txt": "six"}, "", []),
    ("unknown-package", "import pandas", {"requirements.txt": "acme-toolbox"}, "", WARNING),
    ("own-dependencies", "import numpy, flask, werkzeug, google.protobuf, yaml, jinja2", {}, "", []),
    ("old-package", "from seldon_core.user_model import SeldonComponent", {}, "", []),
    ("standard-library", "import json, os.path, asyncio, zoneinfo, __future__", {}, "", []),
    ("removed-module", "import distutils", {}, "{python: '3.12'}", ERROR),
    ("not-yet-removed", "import distutils, cgi", {}, "{python: '3.10'}", []),
    ("from-setuptools", "import distutils", {"requirements.txt": "setuptools"}, "{python: '3.12'}", []),
    ("not-yet-added", "import tomllib", {}, "{python: '3.10'}", ERROR),
    ("optional", "try:\n    import pandas\nexcept ImportError:\n    pandas = None", {}, "", []),
    ("optional-any", "try:\n    import pandas\nexcept Exception:\n    pandas = None", {}, "", []),
    ("optional-bare", "try:\n    import pandas\nexcept:\n    pandas = None", {}, "", []),
    ("optional-tuple", "try:\n    import pandas\nexcept (KeyError, ModuleNotFoundError):\n    pass", {}, "", []),
    ("not-optional", "try:\n    import pandas\nexcept KeyError:\n    pass", {}, "", ["error missing-requirement MyModel.py:2"]),
    ("suppressed", "import contextlib\nwith contextlib.suppress(ImportError):\n    import pandas", {}, "", []),
    ("types", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas", {}, "", []),
    ("types-module", "import typing\nif typing.TYPE_CHECKING:\n    import pandas", {}, "", []),
    ("script", "if __name__ == '__main__':\n    import pandas", {}, "", []),
    ("by-version", "import sys\nif sys.version_info >= (3, 11):\n    import tomllib\nelse:\n    import tomli", {}, "", []),
    ("by-platform", "import sys\nif sys.platform == 'win32':\n    import winreg2", {}, "", []),
    ("in-a-function", "def f():\n    import pandas", {}, "", ["warning missing-requirement MyModel.py:2"]),
    ("conditional", "if 1 > 0:\n    import pandas", {}, "", ["warning missing-requirement MyModel.py:2"]),
    ("own-module", "import helper", {"helper.py": "import pandas"}, "", ["error missing-requirement helper.py:1"]),
    ("own-module-fine", "from helper import f", {"helper.py": "f = 1"}, "", []),
    ("own-package", "from pkg import mod", {"pkg/__init__.py": "", "pkg/mod.py": "import pandas"}, "", ["error missing-requirement pkg/mod.py:1"]),
    ("own-package-without-init", "import pkg.mod", {"pkg/mod.py": "from . import x", "pkg/x.py": ""}, "", []),
    ("relative", "import pkg", {"pkg/__init__.py": "from .sub import a", "pkg/sub.py": "import pandas"}, "", ["error missing-requirement pkg/sub.py:1"]),
    ("compiled", "import fast", {"fast.cpython-312-x86_64-linux-gnu.so": ""}, "", []),
    ("unused-module", "", {"train.py": "import pandas"}, "", []),
    ("ring", "import a", {"a.py": "import b", "b.py": "import a"}, "", []),
    ("changed-path", "import sys\nsys.path.append('lib')\nimport inner", {"lib/inner.py": ""}, "", []),
    ("python-path", "import inner", {"lib/inner.py": ""}, "{environment: {PYTHONPATH: /microservice/lib}}", []),
    ("below", "import inner", {"lib/inner.py": ""}, "", ERROR),
    ("url", "import pandas", {"requirements.txt": "https://example.com/x-1.tar.gz"}, "", WARNING),
    ("local-package", "import pandas", {"requirements.txt": "./lib", "lib/setup.py": ""}, "", WARNING),
    ("own-base", "import pandas", {}, "{base: 'registry.example.com/ml:1'}", WARNING),
    ("official-base", "import pandas", {}, "{base: 'python:3.12-slim'}", ERROR),
    ("gpu-base", "import torch", {}, "{gpu: pytorch}", []),
    ("steps", "import pandas", {}, "{steps: {before: ['RUN pip install x']}}", WARNING),
    ("conda-file", "import torch, pandas", {"e.yml": "dependencies: [python, pytorch]"}, "{requirements: e.yml}", WARNING),
    ("lock-file", "import pandas", {"pyproject.toml": "", "uv.lock": '[[package]]\nname = "acme"\n'}, "{requirements: uv.lock}", ERROR),
    ("hashed", "import pandas", {"requirements.txt": "acme==1 --hash=sha256:00"}, "", ERROR),
    ("broken-module", "import broken", {"broken.py": "def"}, "", []),
    ("many-branches", "if 0: pass\n" + "elif 0: pass\n" * 400, {}, "", []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("head", "files", "image", "expected"), [row[1:] for row in IMPORTS], ids=[row[0] for row in IMPORTS]
)
def test_an_import_without_a_requirement_is_reported(
    head: str, files: Files, image: str, expected: list[str], tmp_path: Path
) -> None:
    assert found(tmp_path, {**files, "MyModel.py": f"{head}\n\n\n{CLASS}"}, image) == expected


AS_ERROR, AS_WARNING = ["error missing-requirement seldon.yaml:2"], ["warning missing-requirement seldon.yaml:2"]
TABLES: list[tuple[str, str, Files, str, list[str]]] = [
    ("pandas", "dataframe", {}, "", AS_ERROR),
    ("polars", "polars", {"requirements.txt": "pandas"}, "", AS_ERROR),
    ("there", "dataframe", {"requirements.txt": "pandas>=2"}, "", []),
    ("array", "array", {}, "", []),
    ("own-base", "dataframe", {}, "image: {base: 'registry.example.com/ml:1'}", AS_WARNING),
    ("imported", "dataframe", {"MyModel.py": PANDAS}, "", ERROR),
]


@pytest.mark.parametrize(
    ("as_", "files", "image", "expected"), [row[1:] for row in TABLES], ids=[row[0] for row in TABLES]
)
def test_a_table_without_its_package_is_reported(
    as_: str, files: Files, image: str, expected: list[str], tmp_path: Path
) -> None:
    inputs = f"inputs: [{{name: x, datatype: FP32, shape: [-1, 2], as: {as_}}}]"
    spec = f"class_name: MyModel\n{inputs}\n{image}\n"
    assert found(tmp_path, {"MyModel.py": CLASS, **files, "seldon.yaml": spec}) == expected


SHADOWS: list[tuple[str, Files, str, list[str]]] = [
    ("library", {"json.py": ""}, "", ["warning shadowed-module json.py:1"]),
    ("dependency", {"numpy.py": ""}, "", ["warning shadowed-module numpy.py:1"]),
    ("flask", {"flask.py": ""}, "", ["warning shadowed-module flask.py:1"]),
    ("requirement", {"pandas.py": "", "requirements.txt": "pandas"}, "", ["warning shadowed-module pandas.py:1"]),
    (
        "other-name",
        {"sklearn.py": "", "requirements.txt": "scikit-learn"},
        "",
        ["warning shadowed-module sklearn.py:1"],
    ),
    ("class-module", {"json.py": CLASS}, "class_name: json.MyModel", ["warning shadowed-module json.py:1"]),
    ("unused-test", {"test.py": "", "tests/__init__.py": ""}, "", []),
    ("test-class", {"test.py": CLASS}, "class_name: test.MyModel", ["warning shadowed-module test.py:1"]),
    ("usual-names", {"model.py": "", "utils.py": "", "train.py": "", "main.py": "", "app.py": ""}, "", []),
]


@pytest.mark.parametrize(("files", "spec", "expected"), [row[1:] for row in SHADOWS], ids=[row[0] for row in SHADOWS])
def test_a_module_that_an_installed_one_hides_is_reported(
    files: Files, spec: str, expected: list[str], tmp_path: Path
) -> None:
    assert found(tmp_path, {**files, **({"seldon.yaml": f"{spec}\n"} if spec else {})}) == expected


HIDDEN: list[tuple[str, str, str, list[str]]] = [
    ("all", "*\n!MyModel.py\n", "{model_files: [model.pkl]}", ["error hidden-file .dockerignore:1"]),
    ("requirements", "*.txt\n", "", ["error hidden-file .dockerignore:1"]),
    ("kept-again", "*.txt\n!requirements.txt\n", "", []),
    ("spec", "seldon.*\n", "", ["error hidden-file .dockerignore:1"]),
    ("class", "# code\n**/*.py\n", "", ["error hidden-file .dockerignore:2"]),
    ("imported", "helper.py\n", "", ["error hidden-file .dockerignore:1"]),
    ("model", "/model.pkl\n", "{model_files: [model.pkl]}", ["error hidden-file .dockerignore:1"]),
    ("model-of-no-interest", "/model.pkl\n", "", []),
    ("folder", "data\n", "{model_files: [data/m]}", ["error hidden-file .dockerignore:1"]),
    ("exclude", "", "{exclude: ['*.py']}", ["error hidden-file seldon.yaml:2"]),
    ("exclude-included", "", "{exclude: ['*.py'], include: [MyModel.py, helper.py]}", []),
    ("exclude-others", "", "{exclude: ['test_*.py', '*.txt']}", []),
]


@pytest.mark.parametrize(("ignored", "image", "expected"), [row[1:] for row in HIDDEN], ids=[row[0] for row in HIDDEN])
def test_a_needed_file_that_a_pattern_hides_is_reported(
    ignored: str, image: str, expected: list[str], tmp_path: Path
) -> None:
    files = {
        "requirements.txt": "six",
        "model.pkl": "",
        "data/m": "",
        "helper.py": "",
        "MyModel.py": f"import helper\n{CLASS}",
    }
    assert found(tmp_path, {**files, **({".dockerignore": ignored} if ignored else {})}, image) == expected


KEY = "-----BEGIN PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"
SECRETS = [
    (".env", "A=1", True),
    ("conf/.env.production", "A=1", True),
    (".env.example", "A=", False),
    (".netrc", "", True),
    (".pypirc", "", True),
    (".aws/credentials", "", True),
    ("deep/er/.ssh/config", "", True),
    ("id_rsa", KEY, True),
    ("id_ed25519", KEY, True),
    ("id_rsa.pub", "", False),
    ("client.pem", KEY, True),
    ("client.pem", "x", True),
    ("ca.pem", CERTIFICATE, False),
    ("server.key", KEY, True),
    ("translations.key", "hello", False),
    ("credentials.json", "{}", True),
    ("my-service-account.json", "{}", True),
    ("kubeconfig", "", True),
    ("store.p12", "", True),
    ("environment.yml", "dependencies: []", False),
    ("config.json", "{}", False),
    ("keys.py", "", False),
]


@pytest.mark.parametrize(("name", "text", "is_secret"), SECRETS)
def test_a_secret_that_would_be_in_the_image_is_reported(name: str, text: str, is_secret: bool, tmp_path: Path) -> None:
    files = {name: text, ".dockerignore": ".git\n", "requirements.txt": ""}
    reported = found(tmp_path, files)
    assert [each.split()[:2] for each in reported] == ([["warning", "secret-in-image"]] if is_secret else [])
    (tmp_path / ".dockerignore").write_text(f".git\n{name}\n.aws\n**/.ssh\n")
    assert list(_describe(tmp_path)) == []


@pytest.mark.parametrize("name", [".env", ".env.local", ".netrc", ".aws/credentials", ".ssh/id_rsa", "sub/id_ed25519"])
def test_a_folder_without_a_dockerignore_keeps_usual_secrets_out(name: str, tmp_path: Path) -> None:
    assert found(tmp_path, {name: KEY}) == []


def test_many_files_are_looked_at_within_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seldon_spec.config.checks.image_files.MAX_ENTRIES", 50)
    many = {f"data/{number}/.env": "" for number in range(100)}
    reported = found(tmp_path, {**many, "client.pem": "x", ".dockerignore": ""})
    assert "warning secret-in-image client.pem:1" in reported
    assert len(reported) < 50


BASES = [
    ("{base: 'python:3.12-alpine', system_packages: [gcc]}", True),
    ("{base: 'python:3.12-alpine', build_packages: [gcc]}", True),
    ("{base: 'python:3.12-alpine'}", False),
    ("{base: 'gcr.io/distroless/python3'}", True),
    ("{base: scratch}", True),
    ("{base: 'mcr.microsoft.com/windows/nanoserver:1'}", True),
    ("{base: 'registry.access.redhat.com/ubi9/python-311', system_packages: [gcc]}", True),
    ("{base: 'amazonlinux:2023', system_packages: [gcc]}", True),
    ("{base: 'python:3.9-slim'}", True),
    ("{base: 'python:2.7'}", True),
    ("{base: 'python:3.11-bookworm', system_packages: [gcc]}", False),
    ("{base: 'debian:12'}", True),
    ("{base: 'ubuntu:24.04', system_packages: [python3, python3-venv]}", False),
    ("{base: 'nvidia/cuda:12.4.1-runtime-ubuntu22.04'}", True),
    ("{base: 'registry.example.com/team/ml:1', system_packages: [gcc]}", False),
    ("{base: 'pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime'}", False),
    ("{base: 'continuumio/miniconda3:24.1'}", False),
]


@pytest.mark.parametrize(("image", "is_unsuitable"), BASES)
def test_a_base_that_cannot_do_what_is_requested_is_an_error(image: str, is_unsuitable: bool, tmp_path: Path) -> None:
    assert found(tmp_path, {}, image) == (["error unsuitable-base seldon.yaml:2"] if is_unsuitable else [])


def test_serving_checks_nothing_of_the_build(tmp_path: Path) -> None:
    write(tmp_path, {"MyModel.py": PANDAS, "requirements.txt": "pandas=1\n-r missing.txt\n", ".env": "", "json.py": ""})
    assert load(tmp_path, {}).diagnostics == ()
