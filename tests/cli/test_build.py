"""The command lines of the builders, their selection, and the files in the build context, with a builder that records them."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from seldon_spec import __version__
from seldon_spec.cli.builders import BUILDERS, Build
from seldon_spec.cli.main import run
from seldon_spec.cli.self_wheel import write_self_wheel

BUILD = Build(Path("ctx"), Path("t/Dockerfile"), Path("t/ignore"), Path("t/id"), "iris:1.0")
EVERYTHING: Mapping[str, Any] = {
    "platforms": ("linux/amd64",),
    "secrets": ("id=netrc,src=n",),
    "arguments": {"B": "2", "A": "1"},
    "is_cached": False,
    "extra_arguments": ("--network=host",),
}
COMMON = "--file t/Dockerfile --platform linux/amd64 --secret id=netrc,src=n --build-arg A=1 --build-arg B=2 --no-cache --network=host"
MANY: Mapping[str, Any] = {"platforms": ("linux/amd64", "linux/arm64"), "is_pushed": True}
WORDS = [
    ("docker", {}, "docker buildx build --file t/Dockerfile --load --iidfile t/id --tag iris:1.0 ctx"),
    ("docker", EVERYTHING, f"docker buildx build {COMMON} --load --iidfile t/id --tag iris:1.0 ctx"),
    (
        "docker",
        MANY,
        "docker buildx build --file t/Dockerfile --platform linux/amd64,linux/arm64 --push --iidfile t/id --tag iris:1.0 ctx",
    ),
    (
        "podman",
        EVERYTHING,
        f"podman build --format docker --layers {COMMON} --ignorefile t/ignore --tag iris:1.0 --iidfile t/id ctx",
    ),
    (
        "podman",
        MANY,
        "podman build --format docker --layers --file t/Dockerfile --platform linux/amd64,linux/arm64 --ignorefile t/ignore"
        " --manifest iris:1.0 ctx",
    ),
    (
        "buildah",
        {},
        "buildah build --format docker --layers --file t/Dockerfile --ignorefile t/ignore --tag iris:1.0 --iidfile t/id ctx",
    ),
]
PUSHES = [
    ("docker", {}, "docker push iris:1.0"),
    ("docker", MANY, None),
    ("podman", {}, "podman push iris:1.0"),
    ("buildah", MANY, "buildah manifest push --all iris:1.0 docker://iris:1.0"),
]


def with_options(options: Mapping[str, Any]) -> Build:
    values = {name: getattr(BUILD, name) for name in BUILD.__dataclass_fields__}
    return Build(**{**values, **options})


@pytest.mark.parametrize(("name", "options", "words"), WORDS)
def test_build_command(name: str, options: Mapping[str, Any], words: str) -> None:
    assert BUILDERS[name].build(with_options(options)) == words.split()


@pytest.mark.parametrize(("name", "options", "words"), PUSHES)
def test_push_command(name: str, options: Mapping[str, Any], words: str | None) -> None:
    assert BUILDERS[name].push(with_options(options)) == (words.split() if words else None)


FAKE = """\
#!{python}
import json, pathlib, sys
words = sys.argv[1:]
if words[0] in ("--version", "buildx") and words[1:2] in ([], ["inspect"]):
    sys.exit({probe})
if words[0] in ("images", "image"):
    print(json.dumps([{{"Size": 123456789, "size": "123 MB"}}]))
    sys.exit()
if words[0] == "push":
    (pathlib.Path({log!r}) / "push").write_text(" ".join(words))
    sys.exit()
options = dict(zip(words, words[1:]))
log, context = pathlib.Path({log!r}), pathlib.Path(words[-1])
print("STEP 1", flush=True)
if (log / "gate").exists():
    (log / "gate").open().close()
(log / "words").write_text(json.dumps(words))
(log / "Dockerfile").write_bytes(pathlib.Path(options["--file"]).read_bytes())
(log / "ignore").write_bytes(pathlib.Path(options["--file"] + ".dockerignore").read_bytes())
(log / "files").write_text("\\n".join(sorted(p.relative_to(context).as_posix() for p in context.rglob("*"))))
pathlib.Path(options["--iidfile"]).write_text("sha256:abc")
sys.exit({ends})
"""


class Bench:
    """A folder with a spec, and a PATH with builders that record their arguments."""

    def __init__(self, root: Path) -> None:
        self.folder, self.bin, self.log = root / "model", root / "bin", root / "log"
        for path in (self.folder, self.bin, self.log):
            path.mkdir()
        (self.folder / "MyModel.py").write_text("class MyModel:\n    def predict(self, X): return X\n")
        self.spec("version: '1.0'\n")

    def spec(self, text: str) -> None:
        (self.folder / "seldon.yaml").write_text(f"class_name: MyModel\n{text}")

    def add(self, name: str, *, probe: int = 0, ends: int = 0) -> None:
        path = self.bin / name
        path.write_text(FAKE.format(python=sys.executable, log=str(self.log), probe=probe, ends=ends))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def build(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        with self.begin(*words, **environ) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def begin(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        # pip has no index here, so that the package's own version is on none.
        variables = {"PATH": str(self.bin), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
        command = [sys.executable, "-m", "seldon_spec", "build", str(self.folder), *words]
        piped = subprocess.PIPE
        return subprocess.Popen(command, env={**variables, **environ}, stdout=piped, stderr=piped, text=True)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_image_is_printed_to_stdout_and_progress_to_stderr(bench: Bench) -> None:
    bench.add("buildah")
    ended = bench.build()
    assert (ended.returncode, ended.stdout) == (0, "my-model:1.0 sha256:abc 123 MB\n")
    assert "STEP 1" in ended.stderr


def test_each_step_is_reported_while_it_runs(bench: Bench) -> None:
    bench.add("buildah")
    gate = bench.log / "gate"
    os.mkfifo(gate)
    with bench.begin("--push") as process:
        assert process.stderr is not None
        lines = [process.stderr.readline().rstrip() for _ in range(5)]  # the builder has not ended, nor can it
        gate.open("w").close()
        lines += process.stderr.read().splitlines()
    assert re.fullmatch(r"built in \d+\.\d s", lines.pop())
    assert lines == [
        f"looking for seldon-spec {__version__} on the package index",
        "not found: using a wheel of the installed package",
        "rendering the Dockerfile",
        "building my-model:1.0 with buildah",
        "STEP 1",
        "pushing my-model:1.0",
    ]


@pytest.mark.parametrize(("name", "size"), [("docker", "123 MB"), ("podman", "123 MB"), ("buildah", "123 MB")])
def test_every_builder_is_understood(bench: Bench, name: str, size: str) -> None:
    bench.add(name)
    ended = bench.build("--tag", "a:b")
    assert (ended.returncode, ended.stdout) == (0, f"a:b sha256:abc {size}\n")


def test_a_builder_that_does_not_work_is_passed_over(bench: Bench) -> None:
    bench.add("docker", probe=1)
    bench.add("podman")
    bench.build()
    assert json.loads((bench.log / "words").read_text())[0] == "build"


def test_no_builder_says_what_to_install(bench: Bench) -> None:
    ended = bench.build()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "no image builder is installed" in ended.stderr
    assert "docs.docker.com" in ended.stderr


def test_the_builder_that_is_asked_for_must_work(bench: Bench) -> None:
    bench.add("podman")
    bench.add("docker", probe=1)
    ended = bench.build("--builder", "docker")
    assert ended.returncode == 1
    assert "docker is not installed or does not work" in ended.stderr


def test_a_failed_build_ends_with_1_and_leaves_nothing(bench: Bench) -> None:
    bench.add("podman", ends=125)
    ended = bench.build()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "podman failed with exit code 125" in ended.stderr
    assert sorted(path.name for path in bench.folder.iterdir()) == ["MyModel.py", "seldon.yaml"]


def test_the_self_wheel_is_in_the_context_during_the_build(bench: Bench) -> None:
    bench.add("podman")
    assert bench.build().returncode == 0
    wheel = f"seldon-spec-wheel/seldon_spec-{__version__}-py3-none-any.whl"
    assert wheel in (bench.log / "files").read_text().splitlines()
    assert f"./{wheel}" in (bench.log / "Dockerfile").read_text()
    assert (bench.log / "ignore").read_text().endswith("\n!seldon-spec-wheel\n")
    assert not (bench.folder / "seldon-spec-wheel").exists()


def test_a_folder_of_the_user_s_by_that_name_is_left(bench: Bench) -> None:
    bench.add("podman")
    (bench.folder / "seldon-spec-wheel").mkdir()
    (bench.folder / "seldon-spec-wheel" / "mine").touch()
    assert bench.build().returncode == 0
    assert [path.name for path in (bench.folder / "seldon-spec-wheel").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("image", "requirement"),
    [
        ("{seldon_spec: 'seldon-spec>=0.1'}", "six"),
        ("{requirements: r.txt}", "seldon-spec @ https://example.com/seldon_spec-9-py3-none-any.whl"),
        ("{requirements: r.txt}", "seldon-spec==9"),
        ("{requirements: r.txt}", f"seldon-spec=={__version__} --hash=sha256:00"),
        ("{requirements: uv.lock}", "six"),
    ],
    ids=["key", "url", "other-version", "hash", "lock"],
)
def test_no_wheel_where_something_else_is_installed(bench: Bench, image: str, requirement: str) -> None:
    bench.add("podman")
    (bench.folder / "r.txt").write_text(f"{requirement}\n")
    (bench.folder / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '1'\n")
    (bench.folder / "uv.lock").write_text('[[package]]\nname = "seldon-spec"\n')
    bench.spec(f"image: {image}\n")
    assert bench.build().returncode == 0
    assert "seldon-spec-wheel" not in (bench.log / "files").read_text()


@pytest.mark.parametrize(
    ("file", "text", "command"),
    [
        ("requirements.txt", "seldon-spec\n", "-r requirements.txt ./{wheel}"),
        (
            "requirements.txt",
            "Seldon_Spec[tracing] >=0.1.0,<1 ; python_version > '3'\n",
            "-r requirements.txt ./{wheel}",
        ),
        ("requirements.txt", "-r more.txt\n", "-r requirements.txt ./{wheel}"),
        ("pyproject.toml", "[project]\ndependencies = ['seldon-spec>=0.1.0,<1']\n", "-r pyproject.toml ./{wheel}"),
        (
            "environment.yml",
            "dependencies: [python, pip, {pip: [seldon-spec]}]\n",
            "PIP_FIND_LINKS=$PWD/seldon-spec-wheel conda env create",
        ),
    ],
    ids=["name", "range-with-extra", "included", "project", "conda"],
)
def test_the_own_wheel_satisfies_requirements_that_name_the_package(
    bench: Bench, file: str, text: str, command: str
) -> None:
    bench.add("podman")
    (bench.folder / "more.txt").write_text("seldon-spec>=0.1.0,<1\n")
    (bench.folder / file).write_text(text)
    bench.spec(f"image: {{requirements: {file}}}\n")
    assert bench.build().returncode == 0
    wheel = f"seldon-spec-wheel/seldon_spec-{__version__}-py3-none-any.whl"
    assert wheel in (bench.log / "files").read_text().splitlines()
    dockerfile = (bench.log / "Dockerfile").read_text()
    assert command.format(wheel=wheel) in dockerfile
    assert f"COPY {wheel} ./{wheel}" in dockerfile


def test_what_migrate_writes_is_built_with_the_own_wheel(bench: Bench) -> None:
    bench.add("podman")
    (bench.folder / "seldon.yaml").unlink()
    (bench.folder / "MyModel.py").write_text(
        "import requests\n\n\nclass MyModel:\n    def predict(self, X, names): ...\n"
    )
    (bench.folder / "requirements.txt").write_text("seldon-core==1.18.2\n")
    (bench.folder / "Dockerfile").write_text("FROM python:3.8\nENV MODEL_NAME=MyModel\n")
    assert run(["migrate", str(bench.folder), "--write"]) == 0
    assert bench.build().returncode == 0
    assert "-r requirements.txt ./seldon-spec-wheel/" in (bench.log / "Dockerfile").read_text()
    assert "FROM python:3.10-slim" in (bench.log / "Dockerfile").read_text()


def test_a_version_that_an_index_has_needs_no_wheel(bench: Bench, tmp_path: Path) -> None:
    bench.add("podman")
    (tmp_path / "links").mkdir()
    write_self_wheel(tmp_path / "links")
    assert bench.build(PIP_FIND_LINKS=str(tmp_path / "links")).returncode == 0
    assert f" seldon-spec=={__version__}" in (bench.log / "Dockerfile").read_text()


def test_the_folder_s_own_dockerignore_counts_until_the_spec_says_something(bench: Bench) -> None:
    bench.add("podman")
    (bench.folder / ".dockerignore").write_text("mine")
    bench.build()
    assert (bench.log / "ignore").read_text() == "mine\n!seldon-spec-wheel\n"
    bench.spec("image: {exclude: [data]}\n")
    bench.build()
    assert "\ndata\n" in (bench.log / "ignore").read_text()


def test_flags_override_the_file(bench: Bench) -> None:
    bench.add("podman")
    bench.spec("image: {tag: 'from/file:1', platforms: [linux/arm64]}\n")
    assert bench.build().stdout.startswith("from/file:1 ")
    bench.build(
        "--tag", "x:y", "--platform", "linux/amd64", "--secret", "id=netrc,src=f", "--push", "--builder-arg=--quiet"
    )
    words = json.loads((bench.log / "words").read_text())
    assert [words[words.index(flag) + 1] for flag in ("--tag", "--platform", "--secret")] == [
        "x:y",
        "linux/amd64",
        "id=netrc,src=f",
    ]
    assert "--quiet" in words
    assert (bench.log / "push").read_text() == "push x:y"


def test_several_platforms_need_a_registry_with_docker(bench: Bench) -> None:
    bench.add("docker")
    ended = bench.build("--platform", "linux/amd64,linux/arm64")
    assert ended.returncode == 1
    assert "add --push" in ended.stderr


def test_the_commit_is_told_with_a_word_for_what_is_not_committed(bench: Bench) -> None:
    git = ["git", "-C", str(bench.folder), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    bench.add("podman")
    path = f"{bench.bin}{os.pathsep}/usr/bin:/bin"
    assert bench.build("--builder", "podman", PATH=path).returncode == 0
    assert f"REVISION={head}" in json.loads((bench.log / "words").read_text())
    (bench.folder / "MyModel.py").write_text("class MyModel:\n    def predict(self, X): return 1\n")
    assert bench.build("--builder", "podman", PATH=path).returncode == 0
    assert f"REVISION={head}-dirty" in json.loads((bench.log / "words").read_text())


def test_the_own_wheel_is_the_same_each_time_and_installs(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    first, second = (write_self_wheel(folder) for folder in folders)
    assert first.read_bytes() == second.read_bytes()
    target = tmp_path / "target"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, str(first)], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "seldon_spec", "schema"],
        env={"PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
    )
    assert json.loads(done.stdout)["properties"]["class_name"]
    with zipfile.ZipFile(first) as archive:
        assert "console_scripts" in archive.read(f"seldon_spec-{__version__}.dist-info/entry_points.txt").decode()
        assert [name for name in archive.namelist() if "__pycache__" in name] == []
