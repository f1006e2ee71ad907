"""Compare the versions of libraries that a model file records with those that are installed, here or in the image."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from seldon_spec.config.checks.context import RuleContext, line_origin
from seldon_spec.config.checks.distributions import PROVIDERS, package_of
from seldon_spec.config.checks.folder_files import MODEL_PATH, find_model_file
from seldon_spec.config.checks.requirements import Requirements
from seldon_spec.config.model import ImageSpec
from seldon_spec.config.model_files.formats import BY_MODULE, VersionRule
from seldon_spec.config.model_files.mlmodel import PYTHON
from seldon_spec.config.model_files.urls import show_path
from seldon_spec.errors import Diagnostic, Origin, Severity

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def check_installed_versions(context: RuleContext, versions: Mapping[str, str]) -> Iterator[Diagnostic]:
    """Report a recorded version that the version installed here does not fit."""
    for module, recorded in versions.items():
        found = _find_installed(module)
        if found is not None and not _fits(module, recorded, found):
            yield _describe(context, module, recorded, f"{found} is installed here", context.origin(*MODEL_PATH))


def check_required_versions(context: RuleContext, requirements: Requirements) -> Iterator[Diagnostic]:
    """Report a recorded version that the requirements of the image do not fit."""
    file = find_model_file(context)
    for module, recorded in ({} if file is None else file.versions).items():
        if module == PYTHON:
            yield from _check_python(context, recorded)
            continue
        lines = (requirements.find(name) for name in PROVIDERS.get(module, (module,)))
        line = next((each for each in lines if each is not None), None)
        if line is None:
            continue
        from seldon_spec.config.checks.requirement_versions import parse  # imports packaging, which is slow

        parsed = parse(line)
        if parsed is None:
            continue
        pins = [each.version for each in parsed.specifier if each.operator in ("==", "===") and "*" not in each.version]
        allows = _allows(module, recorded, parsed.specifier)
        if (pins and not _fits(module, recorded, pins[0])) or (not pins and not allows):
            yield _describe(context, module, recorded, f"{line.file} has {line.text}", line_origin(context, line))


def _check_python(context: RuleContext, recorded: str) -> Iterator[Diagnostic]:
    """Report a version of Python that the default base of the image does not have."""
    image = context.values.get(("image",)) or {}
    version = str(image.get("python") or ImageSpec().python)
    if image.get("base") is None and image.get("gpu") is None and not _fits(PYTHON, recorded, version):
        yield _describe(context, PYTHON, recorded, f"image.python is {version}", context.origin(*MODEL_PATH))


def _find_installed(module: str) -> str | None:
    if module == PYTHON:
        return platform.python_version()
    from importlib.metadata import distributions  # slow, and rarely needed

    found = (next(iter(distributions(name=name)), None) for name in PROVIDERS.get(module, (module,)))
    return next((each.version for each in found if each is not None), None)


def _allows(module: str, recorded: str, specifiers: SpecifierSet) -> bool:
    """Return whether a requirement without a pin allows a version that fits."""
    if _find_rule(module) is VersionRule.SAME:
        return specifiers.contains(recorded, prereleases=True)
    return all(
        each.contains(recorded, prereleases=True)
        or each.operator in (">", ">=", "!=")
        or (each.operator in ("~=", "==") and _fits(module, recorded, each.version))
        for each in specifiers
    )


def _find_rule(module: str) -> VersionRule:
    row = BY_MODULE.get(module)
    return VersionRule.SAME if row is None else row.version_rule


def _fits(module: str, recorded: str, found: str) -> bool:
    """Return whether a version may load what another one wrote; releases that only fix errors do not count."""
    parts = [_RELEASE.match(text) for text in (recorded, found)]
    wrote, loads = ([int(part) for part in (each.groups(default="0") if each else ())] for each in parts)
    if not wrote or not loads:
        return True
    if _find_rule(module) is not VersionRule.SAME:
        return loads >= wrote
    return loads[:2] == wrote[:2]


def _describe(context: RuleContext, module: str, recorded: str, found: str, origin: Origin) -> Diagnostic:
    rule, package, path = _find_rule(module), package_of(module), show_path(context.values.get(MODEL_PATH))
    if rule is VersionRule.NEEDED:
        return Diagnostic(
            "model-version",
            f"{path} needs {package} {recorded} or later",
            origin,
            Severity.WARNING,
            MODEL_PATH,
            found=found,
            help=f"install {package}>={recorded}, or save the model for older versions",
        )
    allowed = recorded if rule is VersionRule.SAME else f"{recorded} or later"
    return Diagnostic(
        "model-version",
        f"{path} was written by {_show(package)} {recorded}",
        origin,
        Severity.WARNING,
        MODEL_PATH,
        found=found,
        allowed=f"{_show(package)} {allowed}",
        help=f"{_remedy(package, recorded)}, or save the model again",
    )


def _show(package: str) -> str:
    return "Python" if package == PYTHON else package


def _remedy(package: str, recorded: str) -> str:
    if package == PYTHON:
        return f"use Python {'.'.join(recorded.split('.')[:2])}, in the image by image.python"
    return f"install {package}=={recorded}"
