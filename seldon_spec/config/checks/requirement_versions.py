"""Parse requirements, and decide which versions they allow together and with this package."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version

from seldon_spec.config.checks.distributions import own_requirement_lines
from seldon_spec.config.checks.requirements import Line, LineKind, normalise, without_options
from seldon_spec.config.checks.target import Target

_NEXT = "0.0.1"

_OF_FLASK = tuple(
    Requirement(text)
    for text in ("click>=8.1.3", "itsdangerous>=2.1.2", "jinja2>=3.1.2", "markupsafe>=2.1.1", "werkzeug>=3.0.0")
)
"""The requirements of the oldest supported Flask, which old images often pin."""


@cache
def own_requirements() -> Mapping[str, Requirement]:
    """Return this package's dependencies, and Flask's, by normalised name; empty where it has no metadata."""
    needed = [Requirement(text) for text in own_requirement_lines()]
    own = {normalise(each.name): each for each in needed if "extra" not in str(each.marker or "")}
    return {**{normalise(each.name): each for each in _OF_FLASK}, **own} if "flask" in own else own


def parse(line: Line) -> Requirement | None:
    """Return the requirement of a line that names a package; None for options, paths, URLs and other forms."""
    if line.kind not in (LineKind.PIP, LineKind.PYPROJECT) or line.text.startswith("-"):
        return None
    try:
        return Requirement(without_options(line.text) if line.kind is LineKind.PIP else line.text)
    except ValueError:
        return None


def is_installed(requirement: Requirement, target: Target) -> bool:
    """Return whether a requirement's marker holds in the image; True if that is unknown."""
    if requirement.marker is None:
        return True
    environment = target.environment()
    names = set(
        re.findall(
            r"\b(python_version|python_full_version|implementation_version|platform_\w+)\b", str(requirement.marker)
        )
    )
    if names - environment.keys():
        return True
    try:
        return requirement.marker.evaluate(environment)
    except (UndefinedComparison, UndefinedEnvironmentName, ValueError):
        return True


def own_requirement(name: str) -> str:
    """Return what this package requires of one of its dependencies, e.g. ``protobuf>=4.25``."""
    needed = own_requirements()[normalise(name)]
    return f"{needed.name}{needed.specifier}"


def excludes_own(parsed: Requirement) -> bool:
    """Return whether a requirement excludes every version that seldon-spec supports."""
    own = own_requirements().get(normalise(parsed.name))
    return own is not None and parsed.url is None and not is_possible([parsed.specifier, own.specifier])


def is_possible(sets: Sequence[SpecifierSet]) -> bool:
    """Return whether some version satisfies every set; tries the bounds, versions next to them, and a late one."""
    specifiers = [each for group in sets for each in group]
    candidates = [Version("99999")]
    for each in specifiers:
        try:
            bound = Version(each.version.removesuffix(".*"))
        except ValueError:
            continue
        candidates += [bound, *(Version(text) for text in (f"{bound.public}.{_NEXT}", f"{bound.base_version}.post1"))]
        if not bound.is_prerelease:
            candidates.append(Version(f"{bound.base_version}.{_NEXT}"))
        if bound.release and any(bound.release):
            candidates.append(_just_below(bound))
    return any(all(_contains(each, candidate) for each in specifiers) for candidate in candidates)


def _just_below(bound: Version) -> Version:
    """Return a version just below a bound, e.g. 1.99999 for 2."""
    release = list(bound.release)
    while release and release[-1] == 0:
        release.pop()
    release[-1] -= 1
    return Version(".".join(str(part) for part in [*release, 99999]))


def _contains(specifier: Specifier, version: Version) -> bool:
    try:
        return specifier.contains(version, prereleases=True)
    except ValueError:
        return False
