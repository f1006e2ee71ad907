"""The files of a project that serves a model file without a class. Nothing of the model file is executed."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from seldon_spec.cli.scaffold import fill, flow, shared_files
from seldon_spec.config.build_spec import default_name
from seldon_spec.config.checks.distributions import package_of
from seldon_spec.config.checks.needed_packages import list_needed
from seldon_spec.config.model import SPEC_FILE
from seldon_spec.config.model_files.formats import FORMATS
from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.config.model_files.model_file import ModelFile
from seldon_spec.errors import SeldonSpecError


class ModelFileUnknown(SeldonSpecError):
    """The file does not exist, or its format is not known."""


def make_files_of_model(folder: Path, path: Path, name: str) -> dict[str, str]:
    """Return the texts of the files that serve a model file, by name.

    Args:
        folder: of the project, whose modules need no package.
        path: of the file.
        name: its path within the folder of the project.

    Raises:
        ModelFileUnknown: there is no such file, or its format is not known.
    """
    found = _inspect(path)
    model = {"path": name} if found.is_certain else {"path": name, "format": found.format}
    image = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    spec_name = default_name(Path(name).stem.replace(".", "-"))
    needed = list_needed(found, str(found.format))
    modules = [each for each in needed if not ((folder / each).is_dir() or (folder / f"{each}.py").is_file())]
    pins = {_package(module): _version(module, found.versions) for module in modules}
    lines = (package if version is None else f"{package}=={version}" for package, version in sorted(pins.items()))
    values = {"model": flow(model), "name": spec_name, "image": flow(image)}
    return {
        SPEC_FILE: fill("model-file.yaml.txt", values),
        "requirements.txt": "".join(f"{line}\n" for line in lines),
        **shared_files(None, spec_name),
    }


def _inspect(path: Path) -> ModelFile:
    found = inspect_model(path)
    if found is None:
        raise ModelFileUnknown(f"there is no file {path}, or it cannot be read")
    if found.format is None:
        known = ", ".join(FORMATS)
        remedy = found.remedy or "write a class"
        raise ModelFileUnknown(f"{path} is {found.kind}: it is no model of one of the formats {known}; {remedy}")
    return found


def _package(module: str) -> str:
    """Return the distribution with a module: the installed one, or the usual one."""
    return next(_list_installed(module), None) or package_of(module)


def _list_installed(module: str) -> Iterator[str]:
    names = importlib.metadata.packages_distributions().get(module, [])
    yield from (re.sub(r"[-_.]+", "-", name).lower() for name in names)


def _version(module: str, recorded: Mapping[str, str]) -> str | None:
    """Return the version that the file records, or else the installed one; None: there is neither."""
    if module in recorded:
        return recorded[module]
    installed = next(_list_installed(module), None)
    return None if installed is None else importlib.metadata.version(installed).partition("+")[0]
