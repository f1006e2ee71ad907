"""Rules of the image: its files are in the folder, its keys fit together, and no credential is written out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Severity
from seldon_spec.spec.model import ImageSpec
from seldon_spec.spec.paths import is_file, is_folder
from seldon_spec.spec.requirements import Kind, Line, Requirements, kind_of, read_requirements
from seldon_spec.spec.schema import guess, join
from seldon_spec.spec.subject import Subject
from seldon_spec.spec.tracing import EXTRA

_CREDENTIALS = re.compile(r"://[^/\s@:$]+:[^/\s@$]+@")
_URL_KEYS = ("index_url", "extra_index_urls", "find_links")


def find_image_problems(subject: Subject) -> Iterator[Diagnostic]:
    """Every finding about ``image``."""
    files = requirements_files(subject.merged.get(("image", "requirements")) or ImageSpec().requirements)
    requirements = read_requirements(subject.folder, files)
    rules: tuple[Callable[[], Iterator[Diagnostic]], ...] = (
        lambda: _requirements_are_there(subject),
        lambda: _requirements_are_named(subject),
        lambda: _wheel_is_there(subject),
        lambda: _model_files_are_there(subject),
        lambda: _links_are_there(subject),
        lambda: _kinds_go_together(subject, files),
        lambda: _base_is_one(subject, files),
        lambda: _urls_hold_no_password(subject),
        lambda: _lines_hold_no_password(subject, requirements),
        lambda: _packages_are_meant(subject, requirements),
    )
    for rule in rules:
        yield from rule()


def _may_have_extra(line: Line, extra: str) -> bool:
    """Whether an extra stands behind the package's name; a lock tells of extras elsewhere."""
    return kind_of(line.file) is Kind.UV_LOCK or re.search(rf"\[[^\]]*\b{extra}\b", line.written) is not None


def requirements_files(value: str | Sequence[str]) -> tuple[str, ...]:
    """``image.requirements`` as a list, however it is written."""
    return (value,) if isinstance(value, str) else tuple(value)


def _items(subject: Subject, *path: str) -> Iterator[tuple[FieldPath, str, Origin]]:
    """The texts of a key that is a text or a list of texts, each with its place."""
    value = subject.merged.get(path)
    if isinstance(value, str):
        yield path, value, subject.origin(*path)
    for index, item in enumerate(value if isinstance(value, (list, tuple)) else ()):
        at = (*path, str(index))
        yield at, item, subject.item_origin(*at)


def _requirements_are_there(subject: Subject) -> Iterator[Diagnostic]:
    for at, file, origin in _items(subject, "image", "requirements"):
        yield from _file_in_folder(subject, at, file, origin)


def _wheel_is_there(subject: Subject) -> Iterator[Diagnostic]:
    path = ("image", "seldon_spec")
    wheel = subject.merged.get(path)
    if isinstance(wheel, str) and wheel.endswith(".whl"):
        yield from _file_in_folder(subject, path, wheel, subject.origin(*path))


def _model_files_are_there(subject: Subject) -> Iterator[Diagnostic]:
    """One that is not there yet may come of a training to come: only the build needs it."""
    for at, file, origin in _items(subject, "image", "model_files"):
        for finding in _file_in_folder(subject, at, file, origin):
            is_missing = finding.code == "no-such-file"
            if not is_missing or not is_folder(subject.folder / file):
                remedy = finding.help or "fine if a training writes it before the image is built"
                yield replace(finding, severity=Severity.WARNING, help=remedy) if is_missing else finding


def _links_are_there(subject: Subject) -> Iterator[Diagnostic]:
    for at, link, origin in _items(subject, "image", "find_links"):
        if "://" not in link:
            for finding in _file_in_folder(subject, at, link, origin):
                if finding.code != "no-such-file" or not is_folder(subject.folder / link):
                    yield finding


def _file_in_folder(subject: Subject, path: FieldPath, text: str, origin: Origin) -> Iterator[Diagnostic]:
    if not is_inside(subject.folder, text):
        yield Diagnostic(
            "outside-folder",
            f"{join(path)} leads out of the folder",
            origin,
            path=path,
            found=text,
            allowed="the path of a file within the folder",
            help="an image is built from the folder alone: copy the file into it",
        )
    elif not is_file(subject.folder / text):
        names = [p.relative_to(subject.folder).as_posix() for p in _files_like(subject.folder, text)]
        match = guess(text, names, likeness=0.75)
        yield Diagnostic(
            "no-such-file",
            f"{join(path)}: there is no such file in the folder",
            origin,
            path=path,
            found=text,
            help=f'did you mean "{match}"?' if match else None,
        )


def _files_like(folder: Path, text: str) -> Iterator[Path]:
    suffix = PurePosixPath(text).suffix
    for pattern in (f"*{suffix}", f"*/*{suffix}"):
        yield from (path for path in folder.glob(pattern) if is_file(path))


def is_inside(folder: Path, text: str) -> bool:
    """Whether a relative path stays within the folder, links followed."""
    if PurePosixPath(text).is_absolute() or "\\" in text or "\0" in text:
        return False
    root = os.path.realpath(folder)
    target = os.path.realpath(os.path.join(root, text))  # noqa: PTH118 - Path would drop what realpath must see
    return os.path.commonpath([root, target]) == root


def _requirements_are_named(subject: Subject) -> Iterator[Diagnostic]:
    """A folder whose dependencies stand in another file than the default's, which nothing would install."""
    path = ("image", "requirements")
    if subject.is_set(*path):
        return
    default = requirements_files(ImageSpec().requirements)[0]
    others = [name for name in ("uv.lock", "environment.yml", "environment.yaml") if is_file(subject.folder / name)]
    if others and not is_file(subject.folder / default):
        yield Diagnostic(
            "requirements-not-named",
            f"the image installs nothing of {others[0]}",
            subject.origin(*path),
            Severity.WARNING,
            path,
            found=f"{others[0]} in the folder, and no {default}",
            help=f"add image.requirements: {others[0]}",
        )


def _kinds_go_together(subject: Subject, files: Sequence[str]) -> Iterator[Diagnostic]:
    path = ("image", "requirements")
    own = [file for file in files if kind_of(file) is not Kind.PIP]
    if not own:
        return
    if len(files) > 1:
        yield Diagnostic(
            "requirements-mixed",
            f"image.requirements: {own[0]} cannot stand beside other files",
            subject.origin(*path),
            path=path,
            found=", ".join(files),
            allowed="requirements files of pip's form, as many as you like, or one file of another kind",
        )
    installer = subject.merged.get(("image", "installer"))
    reader = "conda" if kind_of(own[0]) is Kind.CONDA else "uv"
    if installer is not None and installer != reader:
        yield Diagnostic(
            "installer-mismatch",
            f"image.installer: {own[0]} is read by {reader}",
            subject.origin("image", "installer"),
            path=("image", "installer"),
            found=installer,
            help="delete the line: the file says who reads it",
        )


def _base_is_one(subject: Subject, files: Sequence[str]) -> Iterator[Diagnostic]:
    """The base image is said once; what another key says of it has no effect."""
    is_conda = any(kind_of(file) is Kind.CONDA for file in files)
    base, gpu = subject.merged.get(("image", "base")), subject.merged.get(("image", "gpu"))
    if gpu is not None and (base is not None or is_conda):
        yield Diagnostic(
            "base-clash",
            f"image.gpu chooses the base image, and so does {'image.base' if base is not None else 'the conda file'}",
            subject.origin("image", "gpu"),
            path=("image", "gpu"),
            help="keep one of the two",
        )
    chooser = "image.gpu" if gpu is not None else "image.base" if base is not None else "the conda file"
    if subject.is_set("image", "python") and (base is not None or gpu is not None or is_conda):
        yield Diagnostic(
            "key-without-effect",
            f"image.python has no effect: {chooser} brings its Python",
            subject.origin("image", "python"),
            Severity.WARNING,
            ("image", "python"),
            help="delete the line",
        )


def _urls_hold_no_password(subject: Subject) -> Iterator[Diagnostic]:
    for key in _URL_KEYS:
        for at, url, origin in _items(subject, "image", key):
            if _CREDENTIALS.search(url):
                yield Diagnostic(
                    "credentials-in-url",
                    f"{join(at)} holds a user and a password",
                    _masked(origin),
                    path=at,
                    found="(not shown)",
                    help="write the URL alone, and give them as the secret netrc when the image is built",
                )


def _lines_hold_no_password(subject: Subject, requirements: Requirements) -> Iterator[Diagnostic]:
    for line in requirements.lines:
        if _CREDENTIALS.search(line.text):
            yield Diagnostic(
                "credentials-in-url",
                f"{line.file} holds a user and a password, which the image keeps",
                _masked(_line_origin(subject, line)),
                Severity.WARNING,
                ("image", "requirements"),
                found="(not shown)",
                help="write the URL alone, and give them as the secret netrc when the image is built",
            )


def _masked(origin: Origin) -> Origin:
    if origin.position is None:
        return origin
    return replace(origin, position=origin.position.masked(origin.position.column, origin.position.width))


def _line_origin(subject: Subject, line: Line) -> Origin:
    position = line.position(subject.folder)
    return Origin(OriginKind.FILE, position.file, position)


def _packages_are_meant(subject: Subject, requirements: Requirements) -> Iterator[Diagnostic]:
    own, original = requirements.find("seldon-spec"), requirements.find("seldon-core")
    path = ("image", "seldon_spec")
    if own is not None and subject.merged.get(path) is not None:
        yield Diagnostic(
            "key-without-effect",
            f"image.seldon_spec has no effect: {own.file} names seldon-spec itself",
            subject.origin(*path),
            Severity.WARNING,
            path,
            related=(("named in", own.position(subject.folder)),),
            help="delete one of the two",
        )
    if own is not None and subject.merged.get(("server", "tracing")) and not _may_have_extra(own, EXTRA):
        yield Diagnostic(
            "missing-extra",
            f"{own.file} asks for seldon-spec without what server.tracing needs",
            _line_origin(subject, own),
            Severity.WARNING,
            ("image", "requirements"),
            help=f"write seldon-spec[{EXTRA}]",
        )
    if original is not None:
        yield Diagnostic(
            "seldon-core-named",
            f"{original.file} names seldon-core, which this package replaces",
            _line_origin(subject, original),
            Severity.WARNING,
            ("image", "requirements"),
            help="write seldon-spec instead: both own the command seldon-core-microservice",
        )
