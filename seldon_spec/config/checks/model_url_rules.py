"""Rules of ``model.path`` as a URL, ``model.sha256`` and ``model.download``. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator

from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.folder_files import MODEL_PATH, MODEL_SHA256, find_local_model
from seldon_spec.config.model_files.checksum import find_sha256
from seldon_spec.config.model_files.urls import SCHEMES, find_problem, is_url, scheme_of, show_path
from seldon_spec.config.paths import is_file
from seldon_spec.config.schema.suggest import guess
from seldon_spec.errors import Diagnostic, Severity

_DOWNLOAD = ("model", "download")
_IMAGE = "image"


def check_url(context: RuleContext, url: str) -> Iterator[Diagnostic]:
    """Report a URL that cannot be downloaded, or not when ``model.download`` says."""
    problem = find_problem(url)
    if problem is not None:
        match = None if scheme_of(url) in SCHEMES else guess(scheme_of(url), SCHEMES)
        remedy = "put it into .netrc where the server runs" if "password" in problem else None
        yield Diagnostic(
            "model-url",
            f"model.path: {problem}",
            context.origin(*MODEL_PATH),
            path=MODEL_PATH,
            found=show_path(url),
            allowed=f"a URL of one of the schemes {', '.join(SCHEMES)}",
            help=f'did you mean "{match}"?' if match else remedy,
        )
    elif context.values.get(_DOWNLOAD) == _IMAGE:
        yield from _check_image(context, url)


def _check_image(context: RuleContext, url: str) -> Iterator[Diagnostic]:
    """Report a URL that the build of an image cannot read, or must not contain."""
    if scheme_of(url) == "file":
        reason, remedy = "the build has no file of a file:// URL", "copy the file into the folder"
    elif "?" in url:
        reason = "the image would contain the query of the URL, which is often a token"
        remedy = "write download: start, or a URL without a query"
    else:
        return
    yield Diagnostic(
        "model-download",
        f"model.download: {reason}",
        context.origin(*_DOWNLOAD),
        path=_DOWNLOAD,
        found=_IMAGE,
        help=remedy,
    )


def check_download(context: RuleContext, path: str) -> Iterator[Diagnostic]:
    """Report ``model.download`` of a file in the folder, and a checksum that the file does not have."""
    if not is_url(path) and context.is_set(*_DOWNLOAD):
        yield Diagnostic(
            "key-without-effect",
            "model.download has no effect: the file is in the folder",
            context.origin(*_DOWNLOAD),
            Severity.WARNING,
            _DOWNLOAD,
            help="remove it",
        )
    expected, local = context.values.get(MODEL_SHA256), find_local_model(context)
    if not isinstance(expected, str) or local is None or not is_file(local):
        return
    try:
        found = find_sha256(local)
    except OSError:
        return  # it cannot be loaded either
    if found != expected:
        yield Diagnostic(
            "model-checksum",
            "model.sha256: the file has another checksum",
            context.origin(*MODEL_SHA256),
            path=MODEL_SHA256,
            found=found,
            help="get the right file, or correct the checksum",
        )
