"""Files of the folder that a key names, and what the model file among them is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.model_files.formats import FORMATS, ModelFormat
from seldon_spec.config.model_files.inspect import find_model
from seldon_spec.config.model_files.model_file import ModelFile
from seldon_spec.config.model_files.urls import find_local, is_url
from seldon_spec.config.paths import is_file, is_folder, is_inside
from seldon_spec.config.schema.lookup import join
from seldon_spec.config.schema.suggest import guess
from seldon_spec.errors import Diagnostic, FieldPath, Origin

MODEL_PATH = ("model", "path")
MODEL_FORMAT = ("model", "format")
MODEL_SHA256 = ("model", "sha256")


def find_missing_file(
    context: RuleContext, path: FieldPath, text: str, origin: Origin, *, may_be_folder: bool = False
) -> Iterator[Diagnostic]:
    """Report a path that is no file, or is outside the folder."""
    if not is_inside(context.folder, text):
        yield Diagnostic(
            "outside-folder",
            f"{join(path)} is outside the folder",
            origin,
            path=path,
            found=text,
            allowed="the path of a file in the folder",
            help="the image is built from the folder alone: copy the file into it",
        )
    elif not is_file(context.folder / text) and not (may_be_folder and is_folder(context.folder / text)):
        names = [p.relative_to(context.folder).as_posix() for p in _files_like(context.folder, text)]
        match = guess(text, names, likeness=0.75)
        yield Diagnostic(
            "no-such-file",
            f"{join(path)}: the folder has no such file",
            origin,
            path=path,
            found=text,
            help=f'did you mean "{match}"?' if match else None,
        )


def _files_like(folder: Path, text: str) -> Iterator[Path]:
    suffix = PurePosixPath(text).suffix
    for pattern in (f"*{suffix}", f"*/*{suffix}"):
        yield from (path for path in folder.glob(pattern) if is_file(path))


def find_missing_model(context: RuleContext, text: str) -> Iterator[Diagnostic]:
    """Report a path of a model that is neither a file nor a folder, or is outside the folder."""
    for finding in find_missing_file(context, MODEL_PATH, text, context.origin(*MODEL_PATH), may_be_folder=True):
        yield replace(finding, help=finding.help or "create the file first, for example by a training")


def find_local_model(context: RuleContext) -> Path | None:
    """Return where the model file is without a download; None if there is no such file in the folder.

    The file of a URL may be missing.
    """
    path = context.values.get(MODEL_PATH)
    if not isinstance(path, str):
        return None
    if not is_url(path) and any(find_missing_model(context, path)):
        return None
    return find_local(context.folder, path, context.values.get(MODEL_SHA256))


def find_model_file(context: RuleContext) -> ModelFile | None:
    """Return what the model file, or the name in its URL, says; None if there is no such file in the folder."""
    local = find_local_model(context)
    return None if local is None else find_model(local, context.values.get(MODEL_PATH))


def find_format(context: RuleContext) -> ModelFormat | None:
    """Return the format that is given or, without one, that of the file; None if it is unknown."""
    name = context.values.get(MODEL_FORMAT)
    if name is None:
        found = find_model_file(context)
        name = None if found is None else found.format
    return FORMATS.get(name or "")
