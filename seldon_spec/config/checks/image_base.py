"""The base image: its known properties, and whether it can build the image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.requirements import LineKind, kind_of, requirements_files
from seldon_spec.config.checks.target import Target
from seldon_spec.config.model import ImageSpec
from seldon_spec.errors import Diagnostic, Severity

URL_KEYS = ("index_url", "extra_index_urls", "find_links")
"""The keys of ``image`` with URLs of package indexes."""

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
"""Unsuitable bases with the reason; with True, only if Debian packages are requested."""

_WITHOUT_PYTHON = re.compile(
    r"(?:docker\.io/)?(?:library/)?(alpine|debian|ubuntu|busybox|buildpack-deps|nvidia/cuda|gcc|golang|node)([:@]|$)"
)


def make_target(context: RuleContext) -> Target:
    """Return the known properties of the image."""
    image = ImageSpec()
    values = context.values
    base, gpu = values.get(("image", "base")), values.get(("image", "gpu"))
    files = requirements_files(values.get(("image", "requirements")) or image.requirements)
    is_conda = any(kind_of(file) is LineKind.CONDA for file in files)
    python: str | None = values.get(("image", "python")) or image.python
    if gpu is not None or is_conda:
        python = None
    elif base is not None:
        python = official[1] if (official := _OFFICIAL.match(base)) else None
    steps = " ".join(str(step) for step in values.get(("image", "steps", "before")) or [])
    return Target(
        python=python,
        is_plain=not is_conda and gpu is None and (base is None or _SLIM.match(base) is not None),
        workdir=values.get(("image", "workdir")) or image.workdir,
        steps=steps,
        has_index=any(values.get(("image", key)) for key in URL_KEYS),
        packages=frozenset(
            name
            for key in ("system_packages", "build_packages")
            for package in values.get(("image", key)) or []
            for name in [package.partition("=")[0]]
        ),
    )


def find_base_problems(context: RuleContext) -> Iterator[Diagnostic]:
    """Report a base without the tools or the Python that the build needs."""
    path = ("image", "base")
    base = context.values.get(path)
    if not isinstance(base, str):
        return
    packages = next((k for k in ("system_packages", "build_packages") if context.values.get(("image", k))), None)
    help_text = "use an image based on Debian, such as python:3.12-slim"
    for pattern, reason, only_with_packages in _BASES:
        if pattern.search(base.partition("@")[0].lower()) and (packages or not only_with_packages):
            for_what = f", so that image.{packages} cannot be installed" if only_with_packages else ""
            message = f"image.base: {base} {reason}{for_what}"
            yield Diagnostic("unsuitable-base", message, context.origin(*path), path=path, help=help_text)
            return
    official = _OFFICIAL.match(base)
    if re.match(r"(?:docker\.io/)?(?:library/)?python:2", base) or (official and int(official[1].split(".")[1]) < 10):
        message = f"image.base: {base} is too old: seldon-spec needs Python 3.10 or newer"
        yield Diagnostic("unsuitable-base", message, context.origin(*path), path=path, help=help_text)
        return
    has_python = any("python3" in name for name in context.values.get(("image", "system_packages")) or [])
    if _WITHOUT_PYTHON.match(base) and not has_python and not context.values.get(("image", "steps", "before")):
        message = f"image.base: {base} has no Python"
        help_text = "add image.system_packages: [python3, python3-venv], or use an image that has Python"
        yield Diagnostic("unsuitable-base", message, context.origin(*path), path=path, help=help_text)


def find_base_clashes(context: RuleContext, files: Sequence[str]) -> Iterator[Diagnostic]:
    """Report several keys that determine the base image."""
    is_conda = any(kind_of(file) is LineKind.CONDA for file in files)
    base, gpu = context.values.get(("image", "base")), context.values.get(("image", "gpu"))
    if gpu is not None and (base is not None or is_conda):
        yield Diagnostic(
            "base-clash",
            f"image.gpu and {'image.base' if base is not None else 'the conda file'} both determine the base image",
            context.origin("image", "gpu"),
            path=("image", "gpu"),
            help="keep one of the two",
        )
    chooser = "image.gpu" if gpu is not None else "image.base" if base is not None else "the conda file"
    if context.is_set("image", "python") and (base is not None or gpu is not None or is_conda):
        yield Diagnostic(
            "key-without-effect",
            f"image.python has no effect: {chooser} determines the version of Python",
            context.origin("image", "python"),
            Severity.WARNING,
            ("image", "python"),
            help="delete the line",
        )
