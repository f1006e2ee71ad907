"""Check that the installer can install every requirement, and that the requirements are compatible.

Checks the text of each line and the folder; accesses no index. Imported only for the build of an image.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import Requirement

from seldon_spec.config.checks.context import RuleContext, line_origin
from seldon_spec.config.checks.requirement_versions import (
    is_installed,
    is_possible,
    own_requirement,
    own_requirements,
    parse,
)
from seldon_spec.config.checks.requirements import (
    ARCHIVES,
    HASH,
    Line,
    LineKind,
    Requirements,
    is_package,
    local_paths,
    normalise,
    without_options,
)
from seldon_spec.config.checks.target import Target
from seldon_spec.config.paths import exists, is_file, is_folder, is_inside
from seldon_spec.errors import Diagnostic, Severity

_PATH = ("image", "requirements")
_VCS = re.compile(r"(?:.*@\s*|-e\s+|--editable[\s=]+)?(?P<tool>git|hg|bzr|svn)(\+|://)")
_VCS_PACKAGES = {"git": "git", "hg": "mercurial", "bzr": "bzr", "svn": "subversion"}
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FLAG = re.compile(r"(--?[A-Za-z][\w-]*?)(?=[\s=]|$)|-[a-z]")

_OPTIONS = frozenset(
    {"-i", "--index-url", "--pypi-url", "--extra-index-url", "--no-index", "-f", "--find-links", "--no-binary"}
    | {"--only-binary", "--prefer-binary", "--require-hashes", "--pre", "--trusted-host", "--use-feature"}
    | {"-e", "--editable", "-r", "--requirement", "-c", "--constraint"}
)
"""The options that pip accepts on separate lines of a requirements file."""

_INDEX_OPTION = re.compile(r"(-i|-f|--index-url|--extra-index-url|--find-links)\b")

_NOT_ON_INDEX: Mapping[str, str] = {
    "sklearn": "write scikit-learn",
    "cv2": "write opencv-python-headless",
    "pil": "write pillow",
    "pkg-resources": "delete the line: Debian's pip freeze adds it by mistake",
    "python": "delete the line: image.python sets the version",
    "pywin32": "for Windows only: add ; sys_platform == 'win32', or delete the line",
    "pywinpty": "for Windows only: add ; sys_platform == 'win32', or delete the line",
    "pypiwin32": "for Windows only: add ; sys_platform == 'win32', or delete the line",
    "tensorflow-intel": "for Windows only: write tensorflow",
    "tensorflow-macos": "for macOS only: write tensorflow",
    "tensorflow-metal": "for macOS only: delete the line",
}
"""Names that ``pip install`` cannot install in a Linux image."""


def find_requirement_problems(context: RuleContext, requirements: Requirements, target: Target) -> Iterator[Diagnostic]:
    """Yield what prevents the installation of the requirements."""
    yield from requirements.problems
    has_index = target.has_index or any(_INDEX_OPTION.match(line.text) for line in requirements.lines)
    needed: dict[str, list[tuple[Line, Requirement]]] = {}
    for line in requirements.lines:
        if line.kind is LineKind.CONDA:
            yield from _check_conda(context, line)
            continue
        if line.kind is LineKind.UV_LOCK:
            continue
        parsed = parse(line)
        if parsed is not None and not is_installed(parsed, target):
            continue
        yield from _check_line(context, line, parsed, target, has_index=has_index)
        if requirements.is_hashed and parsed is not None and not line.is_constraint and not HASH.search(line.text):
            message = f"{parsed.name} has no hash, which pip requires for every line if one line has it"
            yield _problem(context, line, message, "generate the file again, e.g. with pip-compile --generate-hashes")
        if parsed is not None and parsed.url is None:
            needed.setdefault(normalise(parsed.name), []).append((line, parsed))
    yield from _find_conflicts(context, needed)


def _problem(
    context: RuleContext, line: Line, message: str, help_text: str | None = None, severity: Severity = Severity.ERROR
) -> Diagnostic:
    return Diagnostic("bad-requirement", message, line_origin(context, line), severity, _PATH, help=help_text)


def _check_line(
    context: RuleContext, line: Line, parsed: Requirement | None, target: Target, *, has_index: bool
) -> Iterator[Diagnostic]:
    unset = [name for name in _VARIABLE.findall(line.text) if not re.search(rf"\b{name}\b", target.steps)]
    if unset and line.kind is LineKind.PIP:
        message = f"the build does not set {unset[0]}, so that pip does not replace ${{{unset[0]}}}"
        help_text = "pass credentials as the build secret netrc, or write the value"
        yield _problem(context, line, message, help_text, Severity.WARNING)
    elif (vcs := _VCS.match(line.text)) is not None:
        yield from _check_vcs(context, line, vcs["tool"], target)
    elif line.text.startswith("-") and not line.text.startswith("- "):
        yield from _check_option(context, line, target)
    elif paths := [*local_paths(line)]:
        yield from _check_file(context, line, paths[0], parsed, target)
    elif _URL.match(line.text) or (parsed is not None and parsed.url):
        yield from _check_archive(context, line, re.split(r"[#?]", without_options(line.text))[0], target)
    elif parsed is None:
        yield _unreadable(context, line)
    elif target.is_plain and not has_index:
        yield from _check_name(context, line, parsed)


def _check_option(context: RuleContext, line: Line, target: Target) -> Iterator[Diagnostic]:
    flag = _FLAG.match(line.text)
    if flag is None or (flag[0] not in _OPTIONS and line.text[:2] not in ("-r", "-c", "-e", "-f", "-i")):
        message = f"pip does not accept {flag[0] if flag else line.text} in a requirements file"
        yield _problem(context, line, message, "delete it")
    for path in local_paths(line):
        yield from _check_path(context, line, path, target)


def _check_name(context: RuleContext, line: Line, parsed: Requirement) -> Iterator[Diagnostic]:
    """Report a package that the public index does not have."""
    name = normalise(parsed.name)
    if name in _NOT_ON_INDEX:
        message = f"{parsed.name} cannot be installed from the package index in a Linux image"
        yield _problem(context, line, message, _NOT_ON_INDEX[name])
    local = next((each.version for each in parsed.specifier if "+" in each.version), None)
    if local:
        message = f"no public index has the local version {local}"
        yield _problem(context, line, message, "add the index with this version to image.extra_index_urls")


def _unreadable(context: RuleContext, line: Line) -> Diagnostic:
    """Report a line that pip cannot read."""
    text = without_options(line.text)
    reason = ""
    if line.has_credentials:
        return _problem(context, line, "pip cannot read this requirement")
    try:
        Requirement(text)
    except ValueError as error:
        reason = str(error).splitlines()[0]
    message = "pip cannot read this requirement" + (f": {reason}" if reason else "")
    return _problem(context, line, message, _suggest(text))


def _suggest(text: str) -> str | None:
    """Suggest a correction of an unreadable requirement."""
    if "\0" in text:
        return "save the file as UTF-8"
    if re.match(r"(import|from|(\S\s*)?(python3? -m )?(pip|uv|conda))\s", text):
        return "write the name of the package alone"
    if re.match(r"Package\s+Version$", text):
        return "write the list in the format of pip freeze"
    if text.startswith("@EXPLICIT"):
        return "an explicit list of conda is not supported: name an environment.yml in image.requirements"
    if re.match(r"(name|channels|dependencies)\s*:", text):
        return "a conda environment must be named *.yml"
    if re.match(r"\[\[?[\w.-]+\]\]?$", text):
        return "export the requirements to pip's format, e.g. with uv export, poetry export or pipenv requirements"
    changed = text.replace("\u201c", "").replace("\u201d", "").removeprefix("- ").strip("'\",")
    candidates = [
        changed,
        re.sub(r"(?<![=<>!~])=(?!=)", "==", changed),
        re.sub(r"^([\w.-]+)=([\w.]+)=\S+$", r"\1==\2", changed),  # of conda list --export
        re.sub(r"=>", ">=", re.sub(r"=<", "<=", changed)),
        re.sub(r"^([\w.-]+)\s+v?(\d[\w.]*)$", r"\1==\2", changed),
        re.sub(r"^([\w.-]+)\s*:\s*v?(\d[\w.]*)$", r"\1==\2", changed),
        re.sub(r"^([\w.-]+)\s*\^\s*(\d[\w.]*)$", r"\1~=\2", changed),
        re.sub(r"([<>~]=?\s*[\d.]+)\.\*", r"\1", changed),
        re.sub(r"([<>=!~]=?)\s*v(?=\d)", r"\1", changed),
        re.sub(r"\s+([<>=!~]=?)", r",\1", changed).replace(",", "", 1),
        re.sub(r"\s+", "-", changed),
    ]
    for candidate in candidates:
        if candidate != text:
            try:
                Requirement(candidate)
            except ValueError:
                continue
            return f'did you mean "{candidate}"?'
    return None


def _check_vcs(context: RuleContext, line: Line, tool: str, target: Target) -> Iterator[Diagnostic]:
    package = _VCS_PACKAGES[tool]
    if package in target.packages or re.search(rf"\b{package}\b", target.steps):
        return
    lack = "does not have" if target.is_plain else "may not have"
    message = f"the install needs {tool}, which the base image {lack}"
    severity = Severity.ERROR if target.is_plain else Severity.WARNING
    yield _problem(context, line, message, f"add image.build_packages: [{package}]", severity)


def _check_file(
    context: RuleContext, line: Line, path: str, parsed: Requirement | None, target: Target
) -> Iterator[Diagnostic]:
    """Check a path without an option, which must be an archive or a directory that can be installed."""
    url = parsed.url if parsed else without_options(line.text)
    if url and url.startswith("file:/"):
        absolute = re.sub(r"^file:/+(localhost/)?", "/", url)
        yield from _check_absolute(context, line, absolute.partition("#")[0], target)
        return
    if re.match(r"[A-Za-z]:[\\/]", line.text) or "\\" in line.text:
        message = "this is a path of Windows"
        yield _problem(context, line, message, 'name a file of the folder, with "/" between directories')
        return
    yield from _check_path(context, line, path, target)
    if path.lower().endswith(ARCHIVES):
        yield from _check_archive(context, line, path, target)


def _check_absolute(context: RuleContext, line: Line, path: str, target: Target) -> Iterator[Diagnostic]:
    """Check an absolute path of the image, in which ``workdir`` is the folder."""
    within = posixpath.relpath(path, target.workdir)
    if not within.startswith("../"):
        yield from _check_path(context, line, within, target)
    elif target.is_plain:
        message = f"{path} is a path of another machine, which the image does not have"
        name = parsed.name if (parsed := parse(line)) else None
        help_text = f"write {name} and its version" if name else "copy the file into the folder and name it there"
        yield _problem(context, line, message, help_text)


def _check_path(context: RuleContext, line: Line, path: str, target: Target) -> Iterator[Diagnostic]:
    if path.startswith("/"):
        yield from _check_absolute(context, line, path, target)
        return
    is_links = re.match(r"-f|--find-links", line.text) is not None
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(line.file), path))
    if is_links and exists(context.folder / beside):
        return
    here = context.folder / path
    if path.startswith("..") or not is_inside(context.folder, path):
        yield Diagnostic(
            "outside-folder",
            f"{path} is outside the folder",
            line_origin(context, line),
            path=_PATH,
            help="the image is built from the folder alone: copy it into the folder",
        )
    elif not exists(here):
        yield Diagnostic("no-such-file", f"there is no {path} in the folder", line_origin(context, line), path=_PATH)
    elif is_folder(here) and not is_links and not is_package(here):
        message = f"{path} has neither pyproject.toml nor setup.py, so that it cannot be installed"
        yield _problem(context, line, message)
    elif not is_folder(here) and (not is_file(here) or not (is_links or path.lower().endswith(ARCHIVES))):
        message = f"{path} is neither an archive nor a directory that can be installed"
        yield _problem(context, line, message)


def _check_archive(context: RuleContext, line: Line, url: str, target: Target) -> Iterator[Diagnostic]:
    """Report a wheel for another platform or another Python."""
    name = posixpath.basename(url).replace("%2B", "+").replace("%2b", "+")
    if not name.endswith(".whl"):
        return
    try:
        from packaging.utils import parse_wheel_filename  # slow, and hardly any folder has a wheel

        tags = parse_wheel_filename(name)[3]
    except ValueError:
        yield _problem(context, line, f"{name} is not a valid name of a wheel, so that pip rejects it")
        return
    if not any(_fits_platform(tag.platform) for tag in tags):
        platforms = ", ".join(sorted({tag.platform for tag in tags}))
        yield _problem(context, line, f"this wheel is for {platforms}, but the image runs Linux")
    elif target.python and not any(_fits_python(tag.interpreter, tag.abi, target.python) for tag in tags):
        interpreters = ", ".join(sorted({tag.interpreter for tag in tags}))
        message = f"this wheel is for {interpreters}, but the image has Python {target.python}"
        yield _problem(context, line, message, "set image.python, or use a wheel for this version")


def _fits_platform(platform: str) -> bool:
    return platform == "any" or "linux" in platform


def _fits_python(interpreter: str, abi: str, python: str) -> bool:
    minor = int(python.split(".")[1])
    match = re.fullmatch(r"(py|cp)3(\d+)?", interpreter)
    if match is None or match[2] is None:
        return match is not None
    if match[1] == "py" or abi in ("abi3", "none"):
        return int(match[2]) <= minor
    return int(match[2]) == minor


def _find_conflicts(
    context: RuleContext, needed: Mapping[str, Sequence[tuple[Line, Requirement]]]
) -> Iterator[Diagnostic]:
    """Report versions of a package that exclude each other or the versions that seldon-spec supports."""
    own = own_requirements()
    for name, lines in needed.items():
        if not any(not line.is_constraint for line, _ in lines) and name not in own:
            continue
        line, parsed = lines[-1]
        together = [each.specifier for _, each in lines]
        if (len(lines) > 1 or len(parsed.specifier) > 1) and not is_possible(together):
            others = tuple((f"{each.name}{each.specifier}", at.position(context.folder)) for at, each in lines[:-1])
            excluded = "what another line requires" if others else "every version"
            yield Diagnostic(
                "requirement-conflict",
                f"{parsed.name}{parsed.specifier} excludes {excluded}",
                line_origin(context, line),
                path=_PATH,
                related=others,
                help="keep one of the lines" if others else None,
            )
        elif name in own and not is_possible([*together, own[name].specifier]):
            line, parsed = next(
                (pair for pair in lines if not is_possible([pair[1].specifier, own[name].specifier])), lines[-1]
            )
            required = own_requirement(name)
            yield Diagnostic(
                "requirement-conflict",
                f"{parsed.name}{parsed.specifier} cannot be installed: seldon-spec needs {required}",
                line_origin(context, line),
                path=_PATH,
                help=f"write {required}, or delete the line",
            )


def _check_conda(context: RuleContext, line: Line) -> Iterator[Diagnostic]:
    """Report a conda environment with an unsupported Python."""
    match = re.fullmatch(
        r"(?:\S+::)?python\s*={1,2}\s*(3)\.(\d+)(\..*)?|(?:\S+::)?python\s*={1,2}\s*(2)\b.*", line.text
    )
    if match and (match[4] or int(match[2]) < 10):
        message = f"{line.text} is too old: seldon-spec needs Python 3.10 or newer"
        yield Diagnostic("requirement-conflict", message, line_origin(context, line), path=_PATH)
