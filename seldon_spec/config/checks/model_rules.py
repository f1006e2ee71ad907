"""Rules of ``model``: the file exists and has a known format, and the format has the method and the options.

Nothing of the file is executed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.distributions import package_of
from seldon_spec.config.checks.folder_files import (
    MODEL_FORMAT,
    MODEL_PATH,
    find_format,
    find_missing_file,
    find_missing_model,
    find_model_file,
)
from seldon_spec.config.checks.model_folder_rules import check_folder
from seldon_spec.config.checks.model_url_rules import check_download, check_url
from seldon_spec.config.checks.model_versions import check_installed_versions
from seldon_spec.config.model import ServiceType
from seldon_spec.config.model_files.formats import FORMATS, ModelFormat
from seldon_spec.config.model_files.inspect import list_model_files
from seldon_spec.config.model_files.model_file import ModelFile
from seldon_spec.config.model_files.urls import SCHEMES, is_url, scheme_of
from seldon_spec.config.schema.lookup import join
from seldon_spec.errors import Diagnostic, Severity

_METHOD = ("model", "method")
_OPTIONS = ("model", "options")


def check_model(context: RuleContext) -> Iterator[Diagnostic]:
    """Report what is wrong with ``model``."""
    path = context.values.get(MODEL_PATH)
    if not isinstance(path, str):
        return
    problems = [*check_url(context, path)] if is_url(path) else []
    if problems:
        yield from problems
        return
    found, row = find_model_file(context), find_format(context)
    errors = [
        *(() if is_url(path) else find_missing_model(context, path)),
        *check_download(context, path),
        *_check_format(context, found),
        *(_check_method(context, row) if row is not None else ()),
        *(_check_options(context, row) if row is not None else ()),
        *_check_service_type(context, row),
    ]
    if found is not None and row is not None and row.name == found.format:
        errors += check_folder(context, found)
    yield from errors
    if errors or found is None or row is None:
        return
    missing = [*_check_further_files(context, path, found)]
    yield from missing
    if missing:
        return
    if row.code or found.is_pickle or found.is_program:
        yield _warn_of_code(context, row, found)
    if not context.checks_build:  # otherwise, the image needs the packages, not this environment
        for module in (row.module, *row.needs):
            yield from _check_installed(context, module, f"the format {row.name}")
        remote = SCHEMES.get(scheme_of(path)) if is_url(path) else None
        if remote is not None:
            yield from _check_installed(context, remote, f"{scheme_of(path)}://")
        yield from check_installed_versions(context, found.versions)


def _check_format(context: RuleContext, found: ModelFile | None) -> Iterator[Diagnostic]:
    """Report a format that is unknown, or that the contents of the file contradict."""
    if found is None:
        return
    given, known = context.values.get(MODEL_FORMAT), ", ".join(FORMATS)
    if given is None and found.format is None:
        yield Diagnostic(
            "model-format-unknown",
            "model.path: the format of the file is not known",
            context.origin(*MODEL_PATH),
            path=MODEL_PATH,
            found=found.kind,
            allowed=f"a model of one of the formats {known}",
            help=found.remedy if found.is_certain else f"set model.format to one of {known}",
        )
    elif given is not None and found.is_certain and given != found.format:
        yield Diagnostic(
            "model-format-mismatch",
            f"model.path: the file is no model of the format {given}",
            context.origin(*MODEL_FORMAT),
            path=MODEL_FORMAT,
            found=found.kind,
            notes=(f"model.path: {context.origin(*MODEL_PATH)}",),
            help=found.remedy or "correct the path"
            if found.format is None
            else f"write format: {found.format}, or delete the line",
        )


def _check_method(context: RuleContext, row: ModelFormat) -> Iterator[Diagnostic]:
    method = context.values.get(_METHOD)
    if method is not None and method not in row.methods:
        yield Diagnostic(
            "model-method",
            f"models of the format {row.name} have no {method}",
            context.origin(*_METHOD),
            path=_METHOD,
            allowed=", ".join(row.methods),
            help=f"delete it: {row.methods[0]} is called",
        )


def _check_options(context: RuleContext, row: ModelFormat) -> Iterator[Diagnostic]:
    """Report options of other formats."""
    options: dict[str, Any] = context.values.get(_OPTIONS) or {}
    for key in options:
        if key not in row.options:
            at = (*_OPTIONS, key)
            others = [each.name for each in FORMATS.values() if key in each.options]
            yield Diagnostic(
                "model-option",
                f"{join(at)} is no option of the format {row.name}",
                context.key_origin(*at),
                path=at,
                found=f"an option of {', '.join(others)}",
                allowed=", ".join(row.options) or "no options",
                help="delete it",
            )


def _check_installed(context: RuleContext, module: str, what: str) -> Iterator[Diagnostic]:
    """Report that a library is not installed here; only the commands that load the model need it."""
    if find_spec(module) is None:
        yield Diagnostic(
            "missing-package",
            f"model: {what} needs {package_of(module)}, which is not installed here",
            context.origin(*MODEL_PATH),
            Severity.NOTE,
            MODEL_PATH,
            help=f"pip install {package_of(module)}, to serve the model here",
        )


def _check_further_files(context: RuleContext, path: str, found: ModelFile) -> Iterator[Diagnostic]:
    """Report files with the weights of the model that are missing."""
    for file in () if is_url(path) else list_model_files(path, found):
        for missing in find_missing_file(context, MODEL_PATH, file, context.origin(*MODEL_PATH)):
            where = "outside the folder" if missing.code == "outside-folder" else "missing"
            yield replace(missing, message=f"model.path: a file with weights of {path} is {where}")


def _warn_of_code(context: RuleContext, row: ModelFormat, found: ModelFile) -> Diagnostic:
    """Return a note about pickles or a program."""
    message = row.code
    if not message and row.is_folder:
        message = "the weights are pickles: loading them may execute code that they contain"
    elif not message:
        what = "is a pickle: loading it" if found.is_pickle else "is a program: serving it"
        message = f"the file {what} executes code that it contains"
    whole = "models" if row.is_folder else "files"
    return Diagnostic(
        "model-pickle",
        f"model.path: {message}",
        context.origin(*MODEL_PATH),
        Severity.NOTE,
        MODEL_PATH,
        help=f"serve only {whole} that you trust; for a file without code, {row.without_code}",
    )


def _check_service_type(context: RuleContext, row: ModelFormat | None) -> Iterator[Diagnostic]:
    text = context.values.get(("service_type",)) or "MODEL"
    types = [ServiceType.MODEL, *([ServiceType.TRANSFORMER] if row is None or "transform" in row.methods else [])]
    if text not in types:
        yield Diagnostic(
            "no-hook",
            f"a model file {'' if row is None else f'of the format {row.name} '}cannot be a {text}",
            context.origin("service_type"),
            path=("service_type",),
            allowed=" or ".join(types),
            help="write a class that loads the file, for any other service type",
        )
