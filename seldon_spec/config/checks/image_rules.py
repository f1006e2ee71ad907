"""Check ``image``: its files are in the folder, its keys are consistent, and no URL contains credentials."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from seldon_spec.config.checks.context import RuleContext, line_origin
from seldon_spec.config.checks.extras import find_extras
from seldon_spec.config.checks.folder_files import find_missing_file
from seldon_spec.config.checks.image_base import URL_KEYS, find_base_clashes, find_base_problems, make_target
from seldon_spec.config.checks.model_versions import check_required_versions
from seldon_spec.config.checks.needed_packages import needed_packages
from seldon_spec.config.checks.requirement_files import read_requirements
from seldon_spec.config.checks.requirements import (
    OTHER_FORMS,
    Line,
    LineKind,
    Requirements,
    kind_of,
    normalise,
    requirements_files,
)
from seldon_spec.config.model import ImageSpec
from seldon_spec.config.paths import exists, is_file, is_folder, is_inside
from seldon_spec.config.schema.lookup import join
from seldon_spec.errors import Diagnostic, FieldPath, Origin, Severity

if TYPE_CHECKING:
    from seldon_spec.config.checks.imports import ImportScan

_CREDENTIALS = re.compile(r"://[^/\s@:$]+:[^/\s@$]+@|https?://[^/\s:@$]{12,}@")


def find_image_problems(context: RuleContext) -> Iterator[Diagnostic]:
    """Yield the diagnostics of ``image``."""
    files = _files_of(context)
    requirements = read_requirements(context.folder, files)
    yield from _check_requirements_exist(context)
    yield from _check_requirements_named(context)
    yield from _check_wheel(context)
    yield from _check_model_files(context)
    yield from _check_find_links(context)
    yield from _check_installer(context, files)
    yield from find_base_clashes(context, files)
    yield from _check_urls(context)
    yield from _check_requirement_urls(context, requirements)
    yield from _check_packages(context, requirements)
    if context.checks_build:
        yield from _find_build_problems(context, requirements)


def _add_graph(context: RuleContext, requirements: Requirements) -> Requirements:
    """Return the requirements of a component with those of its graph, which its image has as well."""
    if context.graph is None:
        return requirements
    lines = read_requirements(context.graph.folder, _files_of(context.graph)).lines
    return replace(requirements, lines=(*requirements.lines, *lines))


def _files_of(context: RuleContext) -> tuple[str, ...]:
    return requirements_files(context.values.get(("image", "requirements")) or ImageSpec().requirements)


def _find_build_problems(context: RuleContext, requirements: Requirements) -> Iterator[Diagnostic]:
    """Yield what would fail in the build or at the start of the image; imports the checks only then."""
    from seldon_spec.config.checks.image_files import find_file_problems
    from seldon_spec.config.checks.imports import scan_imports

    target = make_target(context)
    class_name = context.values.get(("class_name",))
    scan = scan_imports(context.folder, class_name if isinstance(class_name, str) else "")
    yield from find_base_problems(context)
    yield from check_required_versions(context, requirements)
    yield from _check_requirement_forms(context)
    yield from _check_default_requirements(context)
    if requirements.lines or requirements.problems or _concerns_packages(context, scan):
        # These modules import packaging, which is slow.
        from seldon_spec.config.checks.import_rules import find_import_problems
        from seldon_spec.config.checks.requirement_rules import find_requirement_problems

        yield from find_requirement_problems(context, requirements, target)
        yield from find_import_problems(context, _add_graph(context, requirements), scan, target)
    yield from find_file_problems(context, requirements, scan)
    yield from _check_imported_files(context, scan.files)


def _concerns_packages(context: RuleContext, scan: ImportScan) -> bool:
    """Return whether the class or its inputs need packages, or the folder has modules with names of packages."""
    from seldon_spec.config.checks.distributions import (
        ADDED,
        REMOVED,
        module_names,
        own_requirement_lines,
        with_dependencies,
    )

    if any(needed_packages(context)):
        return True
    usual = sys.stdlib_module_names - REMOVED.keys() - ADDED.keys()
    own = {normalise(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in own_requirement_lines()}
    names = {path.stem for path in context.folder.glob("*.py")} | {file.partition("/")[0] for file in scan.files}
    taken = sys.stdlib_module_names | module_names(with_dependencies(own)).keys()
    return not {each.top for each in scan.outside} <= usual or not names.isdisjoint({*taken, "test"})


def _check_default_requirements(context: RuleContext) -> Iterator[Diagnostic]:
    """Report an unreadable default file, used if image.requirements is not set."""
    path = ("image", "requirements")
    file = requirements_files(ImageSpec().requirements)[0]
    there = context.folder / file
    if context.is_set(*path) or not (exists(there) or there.is_symlink()):
        return
    if not is_inside(context.folder, file):
        yield _link_problem(context, file, path)
    elif not is_file(there):
        yield Diagnostic("no-such-file", f"{file} is not a regular file", context.origin(*path), path=path)


def _check_imported_files(context: RuleContext, files: Iterable[str]) -> Iterator[Diagnostic]:
    """Report modules of the class that are links out of the folder, which do not exist in an image."""
    for file in files:
        if not is_inside(context.folder, file):
            yield _link_problem(context, file, ("class_name",))


def _link_problem(context: RuleContext, file: str, path: FieldPath) -> Diagnostic:
    return Diagnostic(
        "outside-folder",
        f"{file} is a link to a file outside the folder",
        context.origin(*path),
        path=path,
        help="the image is built from the folder alone: copy the file into it",
    )


def _may_have_extra(line: Line, extra: str) -> bool:
    """Return whether a line may request an extra; in a lock file it is not part of the line."""
    return kind_of(line.file) is LineKind.UV_LOCK or re.search(rf"\[[^\]]*\b{extra}\b", line.written) is not None


def _items(context: RuleContext, *path: str) -> Iterator[tuple[FieldPath, str, Origin]]:
    """Yield the path, text and origin of each item of a key that is a text or a list of texts.

    What a component has from its graph is checked with the graph.
    """
    if context.graph is not None and context.origin(*path) == context.graph.origin(*path):
        return
    value = context.values.get(path)
    if isinstance(value, str):
        yield path, value, context.origin(*path)
    for index, item in enumerate(value if isinstance(value, (list, tuple)) else ()):
        at = (*path, str(index))
        yield at, item, context.item_origin(*at)


def _check_requirements_exist(context: RuleContext) -> Iterator[Diagnostic]:
    for at, file, origin in _items(context, "image", "requirements"):
        yield from find_missing_file(context, at, file, origin)


def _check_requirement_forms(context: RuleContext) -> Iterator[Diagnostic]:
    for at, file, origin in _items(context, "image", "requirements"):
        name = PurePosixPath(file).name
        if name in OTHER_FORMS:
            yield Diagnostic(
                "requirements-form",
                f"{join(at)}: pip, uv and conda do not read a {name}",
                origin,
                path=at,
                found=file,
                allowed="a requirements file of pip, pyproject.toml, uv.lock, or a conda environment (*.yml)",
                help=f"export them to a requirements file of pip, with {OTHER_FORMS[name]}",
            )


def _check_wheel(context: RuleContext) -> Iterator[Diagnostic]:
    path = ("image", "seldon_spec")
    wheel = context.values.get(path)
    if isinstance(wheel, str) and wheel.endswith(".whl"):
        yield from find_missing_file(context, path, wheel, context.origin(*path))


def _check_model_files(context: RuleContext) -> Iterator[Diagnostic]:
    """Warn about missing files, since a training may create them before the build."""
    for at, file, origin in _items(context, "image", "model_files"):
        for finding in find_missing_file(context, at, file, origin):
            is_missing = finding.code == "no-such-file"
            if not is_missing or not is_folder(context.folder / file):
                remedy = finding.help or "OK if a training creates it before the build"
                yield replace(finding, severity=Severity.WARNING, help=remedy) if is_missing else finding


def _check_find_links(context: RuleContext) -> Iterator[Diagnostic]:
    for at, link, origin in _items(context, "image", "find_links"):
        if "://" not in link:
            for finding in find_missing_file(context, at, link, origin):
                if finding.code != "no-such-file" or not is_folder(context.folder / link):
                    yield finding


_OTHER_FILES = ("uv.lock", "environment.yml", "environment.yaml", "conda.yml", "conda.yaml", "env.yml", "env.yaml")


def _check_requirements_named(context: RuleContext) -> Iterator[Diagnostic]:
    """Report a file with dependencies that is not the default one and would not be installed."""
    path = ("image", "requirements")
    if context.is_set(*path):
        return
    default = requirements_files(ImageSpec().requirements)[0]
    others = [name for name in _OTHER_FILES if is_file(context.folder / name)]
    if others and not is_file(context.folder / default):
        yield Diagnostic(
            "requirements-not-named",
            f"the image does not install {others[0]}",
            context.origin(*path),
            Severity.WARNING,
            path,
            found=f"{others[0]} in the folder, and no {default}",
            help=f"add image.requirements: {others[0]}",
        )


def _check_installer(context: RuleContext, files: Sequence[str]) -> Iterator[Diagnostic]:
    path = ("image", "requirements")
    own = [file for file in files if kind_of(file) is not LineKind.PIP]
    if not own:
        return
    if len(files) > 1:
        yield Diagnostic(
            "requirements-mixed",
            f"image.requirements: {own[0]} cannot be combined with other files",
            context.origin(*path),
            path=path,
            found=", ".join(files),
            allowed="one or more requirements files of pip, or one file of another kind",
        )
    installer = context.values.get(("image", "installer"))
    reader = "conda" if kind_of(own[0]) is LineKind.CONDA else "uv"
    if installer is not None and installer != reader:
        yield Diagnostic(
            "installer-mismatch",
            f"image.installer: {own[0]} is read by {reader}",
            context.origin("image", "installer"),
            path=("image", "installer"),
            found=installer,
            help="delete the line: the name of the file determines the installer",
        )


def _check_urls(context: RuleContext) -> Iterator[Diagnostic]:
    for key in URL_KEYS:
        for at, url, origin in _items(context, "image", key):
            if _CREDENTIALS.search(url):
                yield Diagnostic(
                    "credentials-in-url",
                    f"{join(at)} contains a user and a password",
                    _masked(origin),
                    path=at,
                    found="(not shown)",
                    help="write the URL without them, and pass them as the build secret netrc",
                )


def _check_requirement_urls(context: RuleContext, requirements: Requirements) -> Iterator[Diagnostic]:
    for line in requirements.lines:
        if _CREDENTIALS.search(line.text):
            yield Diagnostic(
                "credentials-in-url",
                f"{line.file} contains a user and a password, which remain in the image",
                _masked(line_origin(context, line)),
                Severity.WARNING,
                ("image", "requirements"),
                found="(not shown)",
                help="write the URL without them, and pass them as the build secret netrc",
            )


def _masked(origin: Origin) -> Origin:
    if origin.position is None:
        return origin
    return replace(origin, position=origin.position.masked(origin.position.column, origin.position.width))


def _check_packages(context: RuleContext, requirements: Requirements) -> Iterator[Diagnostic]:
    own, original = requirements.find("seldon-spec"), requirements.find("seldon-core")
    path = ("image", "seldon_spec")
    if own is not None and context.values.get(path) is not None:
        yield Diagnostic(
            "key-without-effect",
            f"image.seldon_spec has no effect: {own.file} names seldon-spec itself",
            context.origin(*path),
            Severity.WARNING,
            path,
            related=(("named in", own.position(context.folder)),),
            help="delete one of the two",
        )
    extras = find_extras(context.values.get(("server",)) or {})
    for extra, key in extras.items():
        if own is not None and not _may_have_extra(own, extra):
            yield Diagnostic(
                "missing-extra",
                f"{own.file} names seldon-spec without the extra for {key}",
                line_origin(context, own),
                Severity.WARNING,
                ("image", "requirements"),
                help=f"write seldon-spec[{','.join(extras)}]",
            )
    if original is not None:
        yield Diagnostic(
            "seldon-core-named",
            f"{original.file} names seldon-core, which this package replaces",
            line_origin(context, original),
            Severity.WARNING,
            ("image", "requirements"),
            help="write seldon-spec instead: both install the command seldon-core-microservice",
        )
