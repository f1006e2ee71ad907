"""Rules of the image: its files are in the folder, its keys fit together, and no credential is written out."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from seldon_spec.config.checks.context import RuleContext, line_origin
from seldon_spec.config.checks.extras import find_extras
from seldon_spec.config.checks.requirements import (
    OTHER_FORMS,
    Line,
    LineKind,
    Requirements,
    kind_of,
    normalise,
    read_requirements,
)
from seldon_spec.config.checks.target import Target
from seldon_spec.config.model import ImageSpec
from seldon_spec.config.paths import exists, is_file, is_folder, is_inside
from seldon_spec.config.schema.schema import guess, join
from seldon_spec.errors import Diagnostic, FieldPath, Origin, Severity

if TYPE_CHECKING:
    from seldon_spec.config.checks.imports import ImportScan

_CREDENTIALS = re.compile(r"://[^/\s@:$]+:[^/\s@$]+@|https?://[^/\s:@$]{12,}@")
_URL_KEYS = ("index_url", "extra_index_urls", "find_links")


def find_image_problems(subject: RuleContext) -> Iterator[Diagnostic]:
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
    if subject.checks_build:
        yield from _find_build_problems(subject, requirements)


def _find_build_problems(subject: RuleContext, requirements: Requirements) -> Iterator[Diagnostic]:
    """Everything that the build of the image, or its first start, would fail at; imported only for it."""
    from seldon_spec.config.checks.image_files import find_file_problems
    from seldon_spec.config.checks.imports import scan_imports

    target = _target(subject)
    class_name = subject.merged.get(("class_name",))
    scan = scan_imports(subject.folder, class_name if isinstance(class_name, str) else "")
    yield from _base_can_build(subject)
    yield from _requirements_have_a_known_form(subject)
    yield from _default_requirements_are_readable(subject)
    if requirements.lines or requirements.problems or _concerns_packages(subject, scan):
        from seldon_spec.config.checks.import_rules import (
            find_import_problems,  # with packaging, which is slow to import
        )
        from seldon_spec.config.checks.requirement_rules import find_requirement_problems

        yield from find_requirement_problems(subject, requirements, target)
        yield from find_import_problems(subject, requirements, scan, target)
    yield from find_file_problems(subject, requirements, scan)
    yield from _files_stay_inside(subject, scan.files)


def _concerns_packages(subject: RuleContext, scan: ImportScan) -> bool:
    """Whether the class imports more than the standard library, or the folder has names that belong to packages."""
    from seldon_spec.config.checks.distributions import (
        ADDED,
        REMOVED,
        module_names,
        own_requirement_lines,
        with_dependencies,
    )

    usual = sys.stdlib_module_names - REMOVED.keys() - ADDED.keys()
    own = {normalise(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in own_requirement_lines()}
    names = {path.stem for path in subject.folder.glob("*.py")} | {file.partition("/")[0] for file in scan.files}
    taken = sys.stdlib_module_names | module_names(with_dependencies(own)).keys()
    return not {each.top for each in scan.outside} <= usual or not names.isdisjoint({*taken, "test"})


def _target(subject: RuleContext) -> Target:
    image = ImageSpec()
    merged = subject.merged
    base, gpu = merged.get(("image", "base")), merged.get(("image", "gpu"))
    files = requirements_files(merged.get(("image", "requirements")) or image.requirements)
    is_conda = any(kind_of(file) is LineKind.CONDA for file in files)
    python: str | None = merged.get(("image", "python")) or image.python
    if gpu is not None or is_conda:
        python = None
    elif base is not None:
        python = official[1] if (official := _OFFICIAL.match(base)) else None
    steps = " ".join(str(step) for step in merged.get(("image", "steps", "before")) or [])
    return Target(
        python=python,
        is_plain=not is_conda and gpu is None and (base is None or _SLIM.match(base) is not None),
        workdir=merged.get(("image", "workdir")) or image.workdir,
        steps=steps,
        has_index=any(merged.get(("image", key)) for key in _URL_KEYS),
        packages=frozenset(
            name
            for key in ("system_packages", "build_packages")
            for package in merged.get(("image", key)) or []
            for name in [package.partition("=")[0]]
        ),
    )


_OFFICIAL = re.compile(r"(?:docker\.io/)?(?:library/)?python:(3\.\d+(?:\.\d+)?)(?![\d.])")
_SLIM = re.compile(r"(?:docker\.io/)?(?:library/)?python:[^@]*slim")

_BASES = (
    (
        re.compile(r"(^|/)scratch$|distroless|chainguard|(^|[/:-])static(:|-|$)"),
        "has no shell and no package manager, which the build needs",
        False,
    ),
    (re.compile(r"windows|nanoserver"), "is a Windows image", False),
    (re.compile(r"alpine|wolfi"), "has no apt-get (it uses apk)", True),
    (
        re.compile(
            r"(^|[/:.-])(ubi\d?|ubi\d-\S*|centos|fedora|rockylinux|almalinux|amazonlinux|oraclelinux|rhel\d?|photon"
            r"|opensuse|archlinux)([/:.-]|\d|$)"
        ),
        "has no apt-get (it is not based on Debian)",
        True,
    ),
)
"""Bases that cannot do what a Dockerfile of ours does; with True, only where Debian packages are requested."""

_WITHOUT_PYTHON = re.compile(
    r"(?:docker\.io/)?(?:library/)?(alpine|debian|ubuntu|busybox|buildpack-deps|nvidia/cuda|gcc|golang|node)([:@]|$)"
)


def _base_can_build(subject: RuleContext) -> Iterator[Diagnostic]:
    path = ("image", "base")
    base = subject.merged.get(path)
    if not isinstance(base, str):
        return
    packages = next((k for k in ("system_packages", "build_packages") if subject.merged.get(("image", k))), None)
    help_text = "use an image based on Debian, such as python:3.12-slim"
    for pattern, reason, only_with_packages in _BASES:
        if pattern.search(base.partition("@")[0].lower()) and (packages or not only_with_packages):
            for_what = f", so that image.{packages} cannot be installed" if only_with_packages else ""
            message = f"image.base: {base} {reason}{for_what}"
            yield Diagnostic("unsuitable-base", message, subject.origin(*path), path=path, help=help_text)
            return
    official = _OFFICIAL.match(base)
    if re.match(r"(?:docker\.io/)?(?:library/)?python:2", base) or (official and int(official[1].split(".")[1]) < 10):
        message = f"image.base: {base} is too old: seldon-spec needs Python 3.10 or newer"
        yield Diagnostic("unsuitable-base", message, subject.origin(*path), path=path, help=help_text)
        return
    has_python = any("python3" in name for name in subject.merged.get(("image", "system_packages")) or [])
    if _WITHOUT_PYTHON.match(base) and not has_python and not subject.merged.get(("image", "steps", "before")):
        message = f"image.base: {base} has no Python"
        help_text = "add image.system_packages: [python3, python3-venv], or use an image that has Python"
        yield Diagnostic("unsuitable-base", message, subject.origin(*path), path=path, help=help_text)


def _default_requirements_are_readable(subject: RuleContext) -> Iterator[Diagnostic]:
    """The file that is installed where image.requirements is not set."""
    path = ("image", "requirements")
    file = requirements_files(ImageSpec().requirements)[0]
    there = subject.folder / file
    if subject.is_set(*path) or not (exists(there) or there.is_symlink()):
        return
    if not is_inside(subject.folder, file):
        yield _link_problem(subject, file, path)
    elif not is_file(there):
        yield Diagnostic("no-such-file", f"{file} is not a regular file", subject.origin(*path), path=path)


def _files_stay_inside(subject: RuleContext, files: Iterable[str]) -> Iterator[Diagnostic]:
    """The class's modules: a link out of the folder leads nowhere in an image."""
    for file in files:
        if not is_inside(subject.folder, file):
            yield _link_problem(subject, file, ("class_name",))


def _link_problem(subject: RuleContext, file: str, path: FieldPath) -> Diagnostic:
    return Diagnostic(
        "outside-folder",
        f"{file} is a link that leads out of the folder",
        subject.origin(*path),
        path=path,
        help="an image is built from the folder alone: copy the file into it",
    )


def _may_have_extra(line: Line, extra: str) -> bool:
    """Whether an extra stands behind the package's name; a lock tells of extras elsewhere."""
    return kind_of(line.file) is LineKind.UV_LOCK or re.search(rf"\[[^\]]*\b{extra}\b", line.written) is not None


def requirements_files(value: str | Sequence[str]) -> tuple[str, ...]:
    """``image.requirements`` as a list, however it is written."""
    return (value,) if isinstance(value, str) else tuple(value)


def _items(subject: RuleContext, *path: str) -> Iterator[tuple[FieldPath, str, Origin]]:
    """The texts of a key that is a text or a list of texts, each with its place."""
    value = subject.merged.get(path)
    if isinstance(value, str):
        yield path, value, subject.origin(*path)
    for index, item in enumerate(value if isinstance(value, (list, tuple)) else ()):
        at = (*path, str(index))
        yield at, item, subject.item_origin(*at)


def _requirements_are_there(subject: RuleContext) -> Iterator[Diagnostic]:
    for at, file, origin in _items(subject, "image", "requirements"):
        yield from _file_in_folder(subject, at, file, origin)


def _requirements_have_a_known_form(subject: RuleContext) -> Iterator[Diagnostic]:
    for at, file, origin in _items(subject, "image", "requirements"):
        name = PurePosixPath(file).name
        if name in OTHER_FORMS:
            yield Diagnostic(
                "requirements-form",
                f"{join(at)}: pip, uv and conda do not read a {name}",
                origin,
                path=at,
                found=file,
                allowed="a requirements file of pip, pyproject.toml, uv.lock, or a conda environment (*.yml)",
                help=f"write the requirements into a file of pip's form, with {OTHER_FORMS[name]}",
            )


def _wheel_is_there(subject: RuleContext) -> Iterator[Diagnostic]:
    path = ("image", "seldon_spec")
    wheel = subject.merged.get(path)
    if isinstance(wheel, str) and wheel.endswith(".whl"):
        yield from _file_in_folder(subject, path, wheel, subject.origin(*path))


def _model_files_are_there(subject: RuleContext) -> Iterator[Diagnostic]:
    """One that is not there yet may come of a training to come: only the build needs it."""
    for at, file, origin in _items(subject, "image", "model_files"):
        for finding in _file_in_folder(subject, at, file, origin):
            is_missing = finding.code == "no-such-file"
            if not is_missing or not is_folder(subject.folder / file):
                remedy = finding.help or "fine if a training writes it before the image is built"
                yield replace(finding, severity=Severity.WARNING, help=remedy) if is_missing else finding


def _links_are_there(subject: RuleContext) -> Iterator[Diagnostic]:
    for at, link, origin in _items(subject, "image", "find_links"):
        if "://" not in link:
            for finding in _file_in_folder(subject, at, link, origin):
                if finding.code != "no-such-file" or not is_folder(subject.folder / link):
                    yield finding


def _file_in_folder(subject: RuleContext, path: FieldPath, text: str, origin: Origin) -> Iterator[Diagnostic]:
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


_OTHER_FILES = ("uv.lock", "environment.yml", "environment.yaml", "conda.yml", "conda.yaml", "env.yml", "env.yaml")


def _requirements_are_named(subject: RuleContext) -> Iterator[Diagnostic]:
    """A folder whose dependencies stand in another file than the default's, which nothing would install."""
    path = ("image", "requirements")
    if subject.is_set(*path):
        return
    default = requirements_files(ImageSpec().requirements)[0]
    others = [name for name in _OTHER_FILES if is_file(subject.folder / name)]
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


def _kinds_go_together(subject: RuleContext, files: Sequence[str]) -> Iterator[Diagnostic]:
    path = ("image", "requirements")
    own = [file for file in files if kind_of(file) is not LineKind.PIP]
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
    reader = "conda" if kind_of(own[0]) is LineKind.CONDA else "uv"
    if installer is not None and installer != reader:
        yield Diagnostic(
            "installer-mismatch",
            f"image.installer: {own[0]} is read by {reader}",
            subject.origin("image", "installer"),
            path=("image", "installer"),
            found=installer,
            help="delete the line: the file says who reads it",
        )


def _base_is_one(subject: RuleContext, files: Sequence[str]) -> Iterator[Diagnostic]:
    """The base image is said once; what another key says of it has no effect."""
    is_conda = any(kind_of(file) is LineKind.CONDA for file in files)
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


def _urls_hold_no_password(subject: RuleContext) -> Iterator[Diagnostic]:
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


def _lines_hold_no_password(subject: RuleContext, requirements: Requirements) -> Iterator[Diagnostic]:
    for line in requirements.lines:
        if _CREDENTIALS.search(line.text):
            yield Diagnostic(
                "credentials-in-url",
                f"{line.file} holds a user and a password, which the image keeps",
                _masked(line_origin(subject, line)),
                Severity.WARNING,
                ("image", "requirements"),
                found="(not shown)",
                help="write the URL alone, and give them as the secret netrc when the image is built",
            )


def _masked(origin: Origin) -> Origin:
    if origin.position is None:
        return origin
    return replace(origin, position=origin.position.masked(origin.position.column, origin.position.width))


def _packages_are_meant(subject: RuleContext, requirements: Requirements) -> Iterator[Diagnostic]:
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
    extras = find_extras(subject.merged.get(("server",)) or {})
    for extra, key in extras.items():
        if own is not None and not _may_have_extra(own, extra):
            yield Diagnostic(
                "missing-extra",
                f"{own.file} asks for seldon-spec without what {key} needs",
                line_origin(subject, own),
                Severity.WARNING,
                ("image", "requirements"),
                help=f"write seldon-spec[{','.join(extras)}]",
            )
    if original is not None:
        yield Diagnostic(
            "seldon-core-named",
            f"{original.file} names seldon-core, which this package replaces",
            line_origin(subject, original),
            Severity.WARNING,
            ("image", "requirements"),
            help="write seldon-spec instead: both own the command seldon-core-microservice",
        )
