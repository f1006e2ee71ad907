"""The installation of the requirements with pip, uv or conda; if possible, before the code is copied."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seldon_spec.config.checks.extras import find_extras
from seldon_spec.config.checks.requirement_files import read_requirements
from seldon_spec.config.checks.requirements import LineKind, Requirements, kind_of, requirements_files, without_options
from seldon_spec.config.model import ImageSpec, Spec
from seldon_spec.deploy.dockerfile import quoting
from seldon_spec.deploy.dockerfile.bases import CONDA_BUILDER, has_base_packages, render_packages
from seldon_spec.deploy.dockerfile.components import join_images

ENV = "/opt/env"
"""The virtual environment of the image; the only folder copied from the build stage."""

TOOLS = "/opt/tools"
"""The environment of the installer, which is not copied to the image."""

SECRET = "netrc"  # noqa: S105 - a name
"""ID of the build secret with the credentials of package indexes, a .netrc file."""

_SECRET_FILE = f"/run/secrets/{SECRET}"

_OWN_NAME = re.compile(r"^seldon[-_.]spec(?![-_.\w]|\s*\[)", re.IGNORECASE)
"""The name of this package in a requirement without extras."""


@dataclass(frozen=True, slots=True)
class InstallSteps:
    """What to install, and with which installer.

    Attributes:
        kind: of the requirements file, which determines the installer.
        requirements: the requirements with the files that they include; empty if there are none.
        package: the requirement of this package; None if the requirements file contains it.
        wheel: the path of a wheel of this package in the folder, if one is installed.
        is_build_wheel: the wheel exists only during the build, in a separate folder.
    """

    image: ImageSpec
    kind: LineKind
    requirements: Requirements
    package: str | None
    wheel: str | None
    is_build_wheel: bool = False

    @property
    def is_uv(self) -> bool:
        """Return whether uv is the installer."""
        return self.kind in (LineKind.UV_LOCK, LineKind.PYPROJECT) or self.image.installer == "uv"

    @property
    def copied(self) -> tuple[str, ...]:
        """Return the paths in the folder that the installer reads."""
        wheel = (self.wheel,) if self.wheel else ()
        links = tuple(posixpath.normpath(link) for link in self.image.find_links if "://" not in link)
        return tuple(dict.fromkeys((*self.requirements.files, *self.requirements.parts, *links, *wheel)))


def find_install_steps(spec: Spec, version: str, build_wheel: str | None = None) -> InstallSteps:
    """Read the requirements files of the folder and select the installer.

    Args:
        spec: the spec.
        version: of this package, unless ``image.seldon_spec`` is set.
        build_wheel: the path of a wheel of this package to install instead.
    """
    files = requirements_files(spec.image.requirements)
    requirements = read_requirements(spec.folder, files)
    kind = kind_of(files[0]) if files else LineKind.PIP
    given = build_wheel or spec.image.seldon_spec
    if requirements.find("seldon-spec") and build_wheel is None:
        return InstallSteps(spec.image, kind, requirements, None, None)
    extras = find_extras({"tracing": spec.server.tracing, "engine": spec.server.engine})
    extra = f"[{','.join(extras)}]" if extras else ""
    if given is None:
        return InstallSteps(spec.image, kind, requirements, f"seldon-spec{extra}=={version}", None)
    if not given.endswith(".whl"):
        return InstallSteps(spec.image, kind, requirements, _OWN_NAME.sub(rf"\g<0>{extra}", given), None)
    wheel = posixpath.normpath(given)
    return InstallSteps(
        spec.image, kind, requirements, f"./{wheel}{extra}", wheel, is_build_wheel=build_wheel is not None
    )


def accepts_wheel(spec: Spec, version: str) -> bool:
    """Return whether an image of the spec can install this package from a wheel of the given version.

    False if ``image.seldon_spec`` is set, or if the requirements contain this package with a URL, a path, another
    version or hashes.
    """
    from packaging.requirements import Requirement

    requirements = find_install_steps(join_images(spec), version).requirements
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


def render_install(install: InstallSteps) -> Iterator[str]:
    """Render the steps that install into :data:`ENV`; the working directory is that of the image."""
    yield from _tools(install)
    if install.requirements.is_folder:
        yield "# The code is copied first, because a requirement is the folder itself.\nCOPY . ."
    else:
        copies = [f"COPY {quoting.quote_copy([as_path(path)], f'./{path}')}" for path in install.copied]
        if copies:
            reason = "# Requirements before code: a change of the code does not reinstall them."
            yield "\n".join([reason, *copies])
    tidy = rf"find {ENV} -path '*/tests/*' \( -name 'test_*.py*' -o -path '*/tests/data/*' \) -delete"
    reason = "# Tests in packages and their data are deleted: they can be a tenth of the size.\n"
    yield _secret_reason(install.image) + reason + _run(install.image, [*_commands(install, _pip(install)), tidy])


def _tools(install: InstallSteps) -> Iterator[str]:
    if install.kind is LineKind.CONDA:
        yield f"RUN python3 -m venv {TOOLS}"
        return
    if install.is_uv:
        yield (
            "# uv uses the certificates of the base, like pip; the second name is for older versions.\n"
            "ENV UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1"
        )
    tools, options, reason = f"python3 -m venv {TOOLS}", "--without-pip", ""
    if has_base_packages(install.image):
        # A base may contain pip without ensurepip, or ensurepip without pip.
        tools = f"{{ {tools} || python3 -m venv --clear --without-pip --system-site-packages {TOOLS}; }}"
        options += " --system-site-packages"
        reason = "# Packages of the base are used. If ensurepip is missing, the pip of the base installs.\n"
    uv = _with_index(f"{TOOLS}/bin/python -m pip install --no-cache-dir", install.image) + " 'uv>=0.5'"
    commands = [tools, *([uv] if install.is_uv else []), f"python3 -m venv {options} {ENV}"]
    yield reason + _run(install.image, commands, needs_index=install.is_uv)


def render_command(install: InstallSteps, pip: str) -> str:
    """Render the RUN that installs requirements with a given pip command."""
    return _secret_reason(install.image) + _run(
        install.image, list(_pip_commands(install, _with_index(pip, install.image)))
    )


def _commands(install: InstallSteps, pip: str) -> Iterator[str]:
    """Yield the commands that install the requirements and this package."""
    named = _named_files(install)
    if not named or install.kind is LineKind.PIP:
        yield from _pip_commands(install, pip)
        return
    file = quoting.quote_shell(as_path(named[0]), "image.requirements")
    if install.kind is LineKind.CONDA:
        # The pip of conda finds the wheel if the pip section of the environment contains this package.
        links = (
            f"PIP_FIND_LINKS=$PWD/{posixpath.dirname(install.wheel)} "
            if install.wheel and install.is_build_wheel
            else ""
        )
        yield f"{links}conda env create --yes --prefix {ENV} --file {file}"
    elif install.kind is LineKind.UV_LOCK:
        project = quoting.quote_shell(as_path(posixpath.dirname(named[0]) or "."), "image.requirements")
        sync = f"{TOOLS}/bin/uv sync --frozen --no-dev --no-install-project --no-cache --compile-bytecode"
        yield f"UV_PROJECT_ENVIRONMENT={ENV} {_with_index(sync, install.image)} --project {project}"
    else:
        yield " ".join([f"{pip} -r {file}", *_package(install)])
        return
    yield from (f"{pip} {word}" for word in _package(install))


def _pip_commands(install: InstallSteps, pip: str) -> Iterator[str]:
    files = [f"-r {quoting.quote_shell(as_path(file), 'image.requirements')}" for file in _named_files(install)]
    if install.requirements.is_hashed:
        # If one requirement has a hash, all need one; the hash of this package is unknown.
        yield " ".join([pip, "--require-hashes", *files])
        yield from (f"{pip} {word}" for word in _package(install))
    elif files or _package(install):
        yield " ".join([pip, *files, *_package(install)])


def _package(install: InstallSteps) -> list[str]:
    return [] if install.package is None else [quoting.quote_shell(install.package, "image.seldon_spec")]


def _named_files(install: InstallSteps) -> Sequence[str]:
    """Return the files to pass to the installer, which finds the files that they include."""
    named = [posixpath.normpath(file) for file in requirements_files(install.image.requirements)]
    return [file for file in named if file in install.requirements.files]


def as_path(path: str) -> str:
    """Return a path that no command parses as an option."""
    return f"./{path}" if path.startswith("-") else path


def _pip(install: InstallSteps) -> str:
    if install.is_uv:
        return _with_index(f"{TOOLS}/bin/uv pip install --python {ENV} --no-cache --compile-bytecode", install.image)
    return _with_index(f"{TOOLS}/bin/python -m pip --python {ENV}/bin/python install --no-cache-dir", install.image)


def _with_index(command: str, image: ImageSpec) -> str:
    return " ".join([command, *_index_options(image)])


def _index_options(image: ImageSpec) -> Iterator[str]:
    """Yield the package index options, which are the same for pip and uv."""
    if image.index_url is not None:
        yield f"--index-url {quoting.quote_shell(image.index_url, 'image.index_url')}"
    for url in image.extra_index_urls:
        yield f"--extra-index-url {quoting.quote_shell(url, 'image.extra_index_urls')}"
    for link in image.find_links:
        path = link if "://" in link else as_path(link)
        yield f"--find-links {quoting.quote_shell(path, 'image.find_links')}"


def _has_index(image: ImageSpec) -> bool:
    """Return whether a package index is set, which may require credentials."""
    return image.index_url is not None or any("://" in url for url in (*image.extra_index_urls, *image.find_links))


def _secret_reason(image: ImageSpec) -> str:
    if not _has_index(image):
        return ""
    return f"# Credentials come from the build secret {SECRET}, if it is set; no layer contains them.\n"


def _run(image: ImageSpec, commands: Sequence[str], *, needs_index: bool = True) -> str:
    """Render one RUN of several commands, with the credentials of the package index if one is set."""
    is_secret = needs_index and _has_index(image)
    mount = f"--mount=type=secret,id={SECRET},target={_SECRET_FILE} \\\n    " if is_secret else ""
    exported = [f"export NETRC={_SECRET_FILE}"] if is_secret else []
    return f"RUN {mount}" + " && \\\n    ".join([*exported, *commands])


def render_build_stage(install: InstallSteps, base: str, workdir: str) -> Iterator[str]:
    """Render the build stage."""
    yield (
        "# The installer, a compiler and credentials stay in this stage.\n"
        f"FROM {CONDA_BUILDER if install.kind is LineKind.CONDA else base} AS build"
    )
    yield from render_packages(install.image.build_packages)
    yield f"WORKDIR {workdir}"
    yield from render_install(install)
