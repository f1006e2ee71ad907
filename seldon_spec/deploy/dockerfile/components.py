"""The image of a graph: one image and one process for all components that are not servers of their own."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from seldon_spec.config.build_spec import list_local
from seldon_spec.config.checks.requirement_files import read_requirements
from seldon_spec.config.checks.requirements import LineKind, kind_of, requirements_files
from seldon_spec.config.model import Spec
from seldon_spec.config.model_files.formats import FORMATS
from seldon_spec.config.model_files.inspect import inspect_model, list_model_files
from seldon_spec.config.model_files.spec import ModelSpec
from seldon_spec.config.model_files.urls import is_url
from seldon_spec.config.paths import is_file
from seldon_spec.errors import SeldonSpecError


class RequirementsMixed(SeldonSpecError):
    """The requirements of the components of a graph cannot be installed together."""


def join_images(spec: Spec) -> Spec:
    """Return the spec with everything in its ``image`` that the components need in the same image.

    That is their requirements, packages, model files, package indexes, variables and patterns; paths are relative to
    the folder of the graph. The base, the Python version, the user and the steps are those of the graph alone.

    Args:
        spec: as ``load`` returns it. Of a spec without components, only what a model file needs is added.

    Raises:
        RequirementsMixed: there are several requirements files, and one is not pip's; or that of a component contains
            a path of its folder.
        ValueError: the folder of a component is not inside that of the spec.
    """
    folders = [("", spec), *((_folder_of(each, spec), each) for each in list_local(spec))]
    if len(folders) == 1:
        if spec.model is None:
            return spec
        image = replace(
            spec.image, model_files=_list_models(spec), system_packages=_list_packages(spec, spec.image.base)
        )
        return replace(spec, image=image)

    def collect(find: Callable[[Spec], tuple[str, ...]], place: Callable[[str, str], str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(place(folder, item) for folder, each in folders for item in find(each)))

    def keep(_: str, item: str) -> str:
        return item

    files = collect(lambda each: requirements_files(each.image.requirements), posixpath.join)
    files = tuple(file for file in files if is_file(spec.folder / file))
    if len(files) > 1:
        _refuse_other_forms(files)
    for folder, each in folders[1:]:
        if folder:
            _refuse_own_paths(folder, each)
    indexes = collect(lambda each: tuple(filter(None, [each.image.index_url])), keep)
    environment = {name: text for _, each in reversed(folders) for name, text in each.image.environment.items()}
    image = replace(
        spec.image,
        requirements=files or spec.image.requirements,
        system_packages=collect(lambda each: _list_packages(each, spec.image.base), keep),
        build_packages=collect(lambda each: each.image.build_packages, keep),
        index_url=indexes[0] if indexes else None,
        extra_index_urls=(*indexes[1:], *collect(lambda each: each.image.extra_index_urls, keep)),
        find_links=collect(
            lambda each: each.image.find_links, lambda f, link: link if "://" in link else _join(f, link)
        ),
        model_files=collect(_list_models, _join),
        include=collect(lambda each: each.image.include, _join_pattern),
        exclude=collect(lambda each: each.image.exclude, _join_pattern),
        environment=MappingProxyType(environment),
    )
    return replace(spec, image=image)


def list_files(spec: Spec) -> tuple[str, ...]:
    """Return the files of the spec and of its components, as paths within the folder of the spec."""
    return tuple(dict.fromkeys([spec.file, *(_join(_folder_of(each, spec), each.file) for each in list_local(spec))]))


def _list_packages(spec: Spec, base: str | None) -> tuple[str, ...]:
    """Return the system packages of a spec; on the default base, those that the library of its model needs too."""
    row = None if spec.model is None or base is not None else FORMATS.get(spec.model.format or "")
    return tuple(dict.fromkeys([*spec.image.system_packages, *(() if row is None else row.system_packages)]))


def _list_models(spec: Spec) -> tuple[str, ...]:
    """Return the files of a spec that have a layer of their own: those of its model are among them."""
    if spec.model is None or is_url(spec.model.path):
        return spec.image.model_files
    found = inspect_model(spec.folder / spec.model.path)
    further = () if found is None or found.is_folder else list_model_files(spec.model.path, found)
    return tuple(dict.fromkeys([*spec.image.model_files, spec.model.path, *further]))


def list_downloads(spec: Spec) -> list[tuple[str, ModelSpec]]:
    """Return the models of URLs that are downloaded into the image, each with its folder within that of the spec."""
    folders = [("", spec), *((_folder_of(each, spec), each) for each in list_local(spec))]
    return [
        (folder, each.model)
        for folder, each in folders
        if each.model is not None and is_url(each.model.path) and each.model.download == "image"
    ]


def _folder_of(component: Spec, spec: Spec) -> str:
    """Return the path from the folder of a graph to that of a component; empty if it is the same."""
    path = os.path.relpath(os.path.realpath(component.folder), os.path.realpath(spec.folder))
    if path.startswith(os.pardir):
        raise ValueError(f"{component.folder} is outside {spec.folder}")
    return "" if path == os.curdir else path


def _join(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))


def _join_pattern(folder: str, pattern: str) -> str:
    """Return a pattern of a component's folder for that of the graph; a pattern without a slash matches at its top."""
    return posixpath.join(folder, pattern.lstrip("/")) if folder else pattern


def _refuse_other_forms(files: tuple[str, ...]) -> None:
    other = next((file for file in files if kind_of(file) is not LineKind.PIP), None)
    if other is not None:
        raise RequirementsMixed(
            f"the image of a graph installs {', '.join(files)} together, and {other} cannot be combined with other"
            " files: export it to a requirements file of pip, or run its component as a server and set its url"
        )


def _refuse_own_paths(folder: str, component: Spec) -> None:
    """Refuse requirements with paths: pip reads them from the folder in which it runs, that of the graph."""
    found = read_requirements(component.folder, requirements_files(component.image.requirements))
    if found.is_folder or found.parts:
        raise RequirementsMixed(
            f"{folder}/{found.files[0]} installs {'its folder' if found.is_folder else found.parts[0]}, which pip would"
            " look for in the folder of the graph: write a name and a version, or run the component as a server and"
            " set its url"
        )
