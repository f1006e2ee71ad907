"""How an image's requirements are installed: by pip, uv or conda, before the code wherever that can be.

Knows the words of the installers and nothing of the image around them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seldon_spec.config.checks.extras import find_extras
from seldon_spec.config.checks.image_rules import requirements_files
from seldon_spec.config.checks.requirements import LineKind, Requirements, kind_of, read_requirements, without_options
from seldon_spec.config.model import ImageSpec, Spec
from seldon_spec.deploy.dockerfile import quoting
from seldon_spec.deploy.dockerfile.bases import CONDA_BUILDER, has_packages_of_its_own, render_packages

ENV = "/opt/env"
"""The environment that the image runs from: the one folder that leaves the stage of the install."""

TOOLS = "/opt/tools"
"""The installer's own environment, which stays behind."""

SECRET = "netrc"  # noqa: S105 - its name
"""The build secret that holds the credentials of package indexes, in the form of a .netrc file."""

_SECRET_FILE = f"/run/secrets/{SECRET}"

_OWN_NAME = re.compile(r"^seldon[-_.]spec(?![-_.\w]|\s*\[)", re.IGNORECASE)
"""This package's name at the start of a requirement that names no extras itself."""


@dataclass(frozen=True, slots=True)
class InstallSteps:
    """What is to be installed, found once.

    Attributes:
        kind: of the requirements file, which tells who reads it.
        requirements: what they need beside themselves; empty where the folder has none.
        package: the word for the installer that stands for this package; None where the requirements alone install it.
        wheel: the path of this package's wheel within the folder, where it comes as one.
        is_passing: the wheel is there for one build only, in a folder of its own.
    """

    image: ImageSpec
    kind: LineKind
    requirements: Requirements
    package: str | None
    wheel: str | None
    is_passing: bool = False

    @property
    def is_uv(self) -> bool:
        """Whether uv installs, rather than pip."""
        return self.kind in (LineKind.UV_LOCK, LineKind.PYPROJECT) or self.image.installer == "uv"

    @property
    def copied(self) -> tuple[str, ...]:
        """The files and folders of the folder that the installer reads."""
        wheel = (self.wheel,) if self.wheel else ()
        links = tuple(posixpath.normpath(link) for link in self.image.find_links if "://" not in link)
        return tuple(dict.fromkeys((*self.requirements.files, *self.requirements.parts, *links, *wheel)))


def make_plan(spec: Spec, version: str, passing_wheel: str | None = None) -> InstallSteps:
    """Read the requirements and settle what installs them.

    Args:
        spec: of whose folder the requirements files are read.
        version: of this package, for an image that says nothing else.
        passing_wheel: the path of a wheel of this package that is in the folder for one build, to be installed instead.
    """
    files = requirements_files(spec.image.requirements)
    requirements = read_requirements(spec.folder, files)
    kind = kind_of(files[0]) if files else LineKind.PIP
    given = passing_wheel or spec.image.seldon_spec
    if requirements.find("seldon-spec") and passing_wheel is None:
        return InstallSteps(spec.image, kind, requirements, None, None)
    extras = find_extras({"tracing": spec.server.tracing, "engine": spec.server.engine})
    extra = f"[{','.join(extras)}]" if extras else ""
    if given is None:
        return InstallSteps(spec.image, kind, requirements, f"seldon-spec{extra}=={version}", None)
    if not given.endswith(".whl"):
        return InstallSteps(spec.image, kind, requirements, _OWN_NAME.sub(rf"\g<0>{extra}", given), None)
    wheel = posixpath.normpath(given)
    return InstallSteps(
        spec.image, kind, requirements, f"./{wheel}{extra}", wheel, is_passing=passing_wheel is not None
    )


def accepts_wheel(spec: Spec, version: str) -> bool:
    """Return whether an image of the spec can take this package from a wheel of the given version.

    It cannot where ``image.seldon_spec`` chooses another, or where the requirements name this package by a URL, by a
    path, by another version, or with hashes.
    """
    from packaging.requirements import Requirement

    requirements = make_plan(spec, version).requirements
    named = requirements.find("seldon-spec")
    if named is None:
        return spec.image.seldon_spec is None
    if requirements.is_hashed or named.kind not in (LineKind.PIP, LineKind.PYPROJECT):
        return False
    try:
        parsed = Requirement(without_options(named.text))
    except ValueError:
        return False
    return parsed.url is None and parsed.specifier.contains(version, prereleases=True)


def render_install(plan: InstallSteps) -> Iterator[str]:
    """The steps of the stage that installs into :data:`ENV`; its working folder is the image's."""
    yield from _tools(plan)
    if plan.requirements.is_folder:
        yield "# The code comes first: a requirement is the folder itself.\nCOPY . ."
    else:
        copies = [f"COPY {quoting.quote_copy([as_path(path)], f'./{path}')}" for path in plan.copied]
        if copies:
            reason = "# Requirements before code: a change of the code installs nothing again."
            yield "\n".join([reason, *copies])
    tidy = rf"find {ENV} -path '*/tests/*' \( -name 'test_*.py*' -o -path '*/tests/data/*' \) -delete"
    reason = "# Last, the tests that packages bring are deleted with their data: they can be a tenth of all.\n"
    yield _secret_reason(plan.image) + reason + _run(plan.image, [*_commands(plan, _pip(plan)), tidy])


def _tools(plan: InstallSteps) -> Iterator[str]:
    if plan.kind is LineKind.CONDA:
        yield f"RUN python3 -m venv {TOOLS}"
        return
    if plan.is_uv:
        yield (
            "# uv trusts the certificates of the base, as pip does; the second name is the older one.\n"
            "ENV UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1"
        )
    tools, options, reason = f"python3 -m venv {TOOLS}", "--without-pip", ""
    if has_packages_of_its_own(plan.image):
        # A base may have pip without the module that puts it into an environment, or that module without pip.
        tools = f"{{ {tools} || python3 -m venv --clear --without-pip --system-site-packages {TOOLS}; }}"
        options += " --system-site-packages"
        reason = "# What the base has installed counts. Its own pip installs, where no other can be had.\n"
    uv = _with_index(f"{TOOLS}/bin/python -m pip install --no-cache-dir", plan.image) + " 'uv>=0.5'"
    commands = [tools, *([uv] if plan.is_uv else []), f"python3 -m venv {options} {ENV}"]
    yield reason + _run(plan.image, commands, needs_index=plan.is_uv)


def render_command(plan: InstallSteps, pip: str) -> str:
    """The RUN that installs requirements of pip's form with a pip of the caller's."""
    return _secret_reason(plan.image) + _run(plan.image, list(_pip_commands(plan, _with_index(pip, plan.image))))


def _commands(plan: InstallSteps, pip: str) -> Iterator[str]:
    """What installs the requirements and this package, in as few commands as can be."""
    asked = _asked_files(plan)
    if not asked or plan.kind is LineKind.PIP:
        yield from _pip_commands(plan, pip)
        return
    file = quoting.quote_shell(as_path(asked[0]), "image.requirements")
    if plan.kind is LineKind.CONDA:
        # conda's pip finds the wheel where the pip section of the environment names this package.
        links = f"PIP_FIND_LINKS=$PWD/{posixpath.dirname(plan.wheel)} " if plan.wheel and plan.is_passing else ""
        yield f"{links}conda env create --yes --prefix {ENV} --file {file}"
    elif plan.kind is LineKind.UV_LOCK:
        project = quoting.quote_shell(as_path(posixpath.dirname(asked[0]) or "."), "image.requirements")
        sync = f"{TOOLS}/bin/uv sync --frozen --no-dev --no-install-project --no-cache --compile-bytecode"
        yield f"UV_PROJECT_ENVIRONMENT={ENV} {_with_index(sync, plan.image)} --project {project}"
    else:
        yield " ".join([f"{pip} -r {file}", *_package(plan)])
        return
    yield from (f"{pip} {word}" for word in _package(plan))


def _pip_commands(plan: InstallSteps, pip: str) -> Iterator[str]:
    files = [f"-r {quoting.quote_shell(as_path(file), 'image.requirements')}" for file in _asked_files(plan)]
    if plan.requirements.is_hashed:
        # Where one requirement has a hash every one must, and this package's is not known.
        yield " ".join([pip, "--require-hashes", *files])
        yield from (f"{pip} {word}" for word in _package(plan))
    elif files or _package(plan):
        yield " ".join([pip, *files, *_package(plan)])


def _package(plan: InstallSteps) -> list[str]:
    return [] if plan.package is None else [quoting.quote_shell(plan.package, "image.seldon_spec")]


def _asked_files(plan: InstallSteps) -> Sequence[str]:
    """The files that are named to the installer; those that they include it finds itself."""
    asked = [posixpath.normpath(file) for file in requirements_files(plan.image.requirements)]
    return [file for file in asked if file in plan.requirements.files]


def as_path(path: str) -> str:
    """A path that no command takes for an option."""
    return f"./{path}" if path.startswith("-") else path


def _pip(plan: InstallSteps) -> str:
    if plan.is_uv:
        return _with_index(f"{TOOLS}/bin/uv pip install --python {ENV} --no-cache --compile-bytecode", plan.image)
    return _with_index(f"{TOOLS}/bin/python -m pip --python {ENV}/bin/python install --no-cache-dir", plan.image)


def _with_index(command: str, image: ImageSpec) -> str:
    return " ".join([command, *_index_options(image)])


def _index_options(image: ImageSpec) -> Iterator[str]:
    """Where packages come from, in the words that pip and uv share."""
    if image.index_url is not None:
        yield f"--index-url {quoting.quote_shell(image.index_url, 'image.index_url')}"
    for url in image.extra_index_urls:
        yield f"--extra-index-url {quoting.quote_shell(url, 'image.extra_index_urls')}"
    for link in image.find_links:
        path = link if "://" in link else as_path(link)
        yield f"--find-links {quoting.quote_shell(path, 'image.find_links')}"


def _has_index(image: ImageSpec) -> bool:
    """Whether a package index is named, which may ask for credentials."""
    return image.index_url is not None or any("://" in url for url in (*image.extra_index_urls, *image.find_links))


def _secret_reason(image: ImageSpec) -> str:
    if not _has_index(image):
        return ""
    return f"# Credentials come from the build secret {SECRET}, where there is one; no layer ever holds them.\n"


def _run(image: ImageSpec, commands: Sequence[str], *, needs_index: bool = True) -> str:
    """One RUN of several commands; where an index is named, with its credentials at hand."""
    is_secret = needs_index and _has_index(image)
    mount = f"--mount=type=secret,id={SECRET},target={_SECRET_FILE} \\\n    " if is_secret else ""
    exported = [f"export NETRC={_SECRET_FILE}"] if is_secret else []
    return f"RUN {mount}" + " && \\\n    ".join([*exported, *commands])


def render_build_stage(plan: InstallSteps, base: str, workdir: str) -> Iterator[str]:
    """The stage of the install, from its FROM on."""
    yield (
        "# What only the install needs stays in this stage: the installer, a compiler, credentials.\n"
        f"FROM {CONDA_BUILDER if plan.kind is LineKind.CONDA else base} AS build"
    )
    yield from render_packages(plan.image.build_packages)
    yield f"WORKDIR {workdir}"
    yield from render_install(plan)
