"""The command ``init``: write the files of a new project and print the next commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seldon_spec.cli.exit_codes import write_stderr
from seldon_spec.cli.graph_scaffold import make_graph_files
from seldon_spec.cli.scaffold import make_files, make_model_files, write_files
from seldon_spec.config.model import SPEC_FILE, ServiceType


def init_class(folder: Path, service_type: ServiceType, class_name: str, *, has_infer: bool = False) -> None:
    """Write the files of a new project, and print the next commands."""
    files = make_files(service_type, class_name, has_infer=has_infer)
    write_files(folder, files)
    _print_next(folder, [*files])


def init_graph(folder: Path, components: Sequence[str]) -> None:
    """Write the files of a graph of components, create the new ones, and print the next commands."""
    files = make_graph_files(folder, components)
    write_files(folder, files)
    _print_next(folder, [*files])


def init_model(folder: Path, model: Path) -> None:
    """Write the files that serve a model file without a class, copy the file, and print the next commands."""
    from seldon_spec.cli.model_file import make_files_of_model

    name, copies = _place(folder, model)
    files = make_files_of_model(folder, model, name)
    write_files(folder, files, copies)
    _print_next(folder, [*files, *copies])


def _place(folder: Path, model: Path) -> tuple[str, dict[str, Path]]:
    """Return the path of a file within the folder, and what to copy: the file, unless it is there already."""
    is_inside = model.absolute().is_relative_to(folder.absolute())
    name = model.absolute().relative_to(folder.absolute()).as_posix() if is_inside else model.absolute().name
    return name, {} if is_inside else {name: model}


def init_model_class(folder: Path, class_name: str, model: Path) -> None:
    """Write a class that serves the estimator in a file, copy the file, and print the next commands."""
    from seldon_spec.cli.estimator import read_estimator

    estimator = read_estimator(model, folder)
    name, copies = _place(folder, model)
    files = make_model_files(class_name, name, estimator)
    write_files(folder, files, copies)
    if estimator.problem is not None:
        write_stderr(
            f"warning: {estimator.name}.{estimator.method} failed for a row that was made from the model's attributes:"
            f" {estimator.problem}\n     = help: correct inputs in {SPEC_FILE} and the row in test_{class_name}.py"
        )
    _print_next(folder, [*files, *copies])


def _print_next(folder: Path, files: Sequence[str]) -> None:
    where = "" if folder == Path() else f" {folder}"
    test = f"pytest{where}" if any(name.startswith("test_") for name in files) else f"seldon-spec test{where}"
    write_stderr(
        f"wrote {', '.join(files)} into {folder}\n"
        f"next: seldon-spec validate{where}; {test}; seldon-spec serve{where}, then open http://localhost:9000"
    )
