"""The command ``dockerfile``: printed, written and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from seldon_spec.cli.main import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "MyModel.py").write_text("class MyModel:\n    def predict(self, X): return X\n")
    (tmp_path / "seldon.yaml").write_text("class_name: MyModel\n")
    return tmp_path


FORMS = [([], "Dockerfile"), (["--style", "classic"], "Dockerfile"), (["--dockerignore"], ".dockerignore")]


@pytest.mark.parametrize(("words", "name"), FORMS, ids=["staged", "classic", "dockerignore"])
def test_what_is_printed_is_written_and_does_not_differ(
    folder: Path, words: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / name
    assert run(["dockerfile", str(folder), *words]) == 0
    printed = capsys.readouterr().out
    assert run(["dockerfile", str(folder), *words, "--output", str(file)]) == 0
    assert file.read_text() == printed
    assert run(["dockerfile", str(folder), *words, "--check", str(file)]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_file_that_differs_exits_with_1_and_the_diff(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "Dockerfile"
    run(["dockerfile", str(folder), "--output", str(file)])
    (folder / "seldon.yaml").write_text("class_name: MyModel\nports: {http: 8080}\n")
    assert run(["dockerfile", str(folder), "--check", str(file)]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"--- {file}\n+++ {file} (rendered)\n@@ ")
    assert "\n-EXPOSE 9000 5000 6000\n+EXPOSE 8080 5000 6000\n" in captured.out
    assert f"update it with --output {file}" in captured.err


def test_a_comment_in_the_spec_makes_no_difference(folder: Path) -> None:
    file = folder / "Dockerfile"
    run(["dockerfile", str(folder), "--output", str(file)])
    (folder / "seldon.yaml").write_text("# mine\nclass_name:   MyModel  # that\n")
    assert run(["dockerfile", str(folder), "--check", str(file)]) == 0


def test_a_missing_end_of_line_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "Dockerfile"
    run(["dockerfile", str(folder), "--output", str(file)])
    file.write_text(file.read_text().rstrip("\n"))
    assert run(["dockerfile", str(folder), "--check", str(file)]) == 1
    assert "\n\\ No newline at end of file\n" in capsys.readouterr().out


WRONG = [
    (["--check", "nowhere/Dockerfile"], 1, "nowhere/Dockerfile cannot be read"),
    (["--output", "nowhere/Dockerfile"], 1, "nowhere/Dockerfile cannot be written"),
    (["--check", "a", "--output", "b"], 2, "cannot be combined with --output"),
    (["--dockerignore", "--style", "classic"], 2, "cannot be combined with --dockerignore"),
    (["--style", "classic", "--set", "image.installer=uv"], 1, "image.installer: uv needs a separate stage"),
]


@pytest.mark.parametrize(("words", "code", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_impossible_combinations_are_reported(
    folder: Path, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dockerfile", str(folder), *words]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


COMPONENT = "class Model:\n    def __init__(self, x=1): pass\n    def predict(self, X): return X\n"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    for path in ("graph/iris", "shared"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "Model.py").write_text(COMPONENT)
        (tmp_path / path / "seldon.yaml").write_text("class_name: Model\n")
    (tmp_path / "graph" / "seldon.yaml").write_text("graph: [iris]\n")
    return tmp_path / "graph"


@pytest.mark.parametrize("command", ["dockerfile", "build"])
def test_a_component_outside_the_folder_of_its_graph_is_refused(
    command: str, graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (graph / "seldon.yaml").write_text("graph: [iris, other]\ncomponents: {other: ../shared}\n")
    assert run(["validate", str(graph)]) == 0
    assert "warning: the folder of other is outside" in capsys.readouterr().err
    assert run([command, str(graph)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "seldon.yaml:2:21: error: the folder of other is outside" in captured.err


def test_a_component_elsewhere_may_have_its_folder_anywhere(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (graph / "seldon.yaml").write_text(
        'graph: [iris, other]\ncomponents: {other: {path: ../shared, url: "http://other:9000"}}\n'
    )
    (graph.parent / "shared" / "requirements.txt").write_text("pandas\n")
    (graph.parent / "shared" / "Model.py").write_text(f"import sklearn\n{COMPONENT}")
    assert run(["dockerfile", str(graph)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "requirements.txt" not in captured.out


def test_a_link_out_of_the_folder_of_the_graph_is_refused(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (graph / "other").symlink_to("../shared")
    (graph / "seldon.yaml").write_text("graph: [iris, other]\n")
    assert run(["dockerfile", str(graph)]) == 1
    assert "[graph-outside-folder]" in capsys.readouterr().err


def test_requirements_of_several_forms_are_refused(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (graph / "requirements.txt").write_text("numpy\n")
    (graph / "iris" / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    (graph / "iris" / "seldon.yaml").write_text("class_name: Model\nimage: {requirements: pyproject.toml}\n")
    assert run(["dockerfile", str(graph)]) == 1
    assert "iris/pyproject.toml cannot be combined with other files" in capsys.readouterr().err


def test_a_component_may_import_what_its_graph_requires(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (graph / "iris" / "Model.py").write_text(f"import pandas\n{COMPONENT}")
    assert run(["validate", str(graph)]) == 1
    assert "[missing-requirement]" in capsys.readouterr().err
    (graph / "requirements.txt").write_text("pandas\n")
    assert run(["validate", str(graph)]) == 0


def test_a_setting_of_a_component_from_outside_is_reported_as_not_written(
    graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dockerfile", str(graph), "--set", "components.iris.parameters.x=2"]) == 0
    assert "components.iris.parameters.x is not written into the image [not-baked]" in capsys.readouterr().err


def test_a_requirement_that_is_a_path_of_a_component_is_refused(
    graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (graph / "iris" / "package").mkdir()
    (graph / "iris" / "package" / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    (graph / "iris" / "requirements.txt").write_text("./package\n")
    assert run(["dockerfile", str(graph)]) == 1
    assert "iris/requirements.txt installs package, which pip would look for" in capsys.readouterr().err


def test_the_patterns_of_a_graph_apply_to_its_components(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (graph / "iris" / "helper.py").write_text("")
    (graph / "iris" / "Model.py").write_text(f"import helper\n{COMPONENT}")
    (graph / "iris" / ".dockerignore").write_text("helper.py\n")
    (graph / "iris" / "id.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    assert run(["validate", str(graph)]) == 0
    assert capsys.readouterr().err.count("[secret-in-image]") == 1
    (graph / ".dockerignore").write_text("*.pem\n**/*.pem\niris/helper.py\n")
    assert run(["validate", str(graph)]) == 1
    assert (
        ".dockerignore:3:1: error: .dockerignore excludes iris/helper.py, which the image needs"
        in capsys.readouterr().err
    )
