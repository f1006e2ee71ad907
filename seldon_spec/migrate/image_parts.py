"""Parts of an image that keys of ``image`` take over, each by itself: base, user, labels, folder and ports."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from seldon_spec.errors import FieldPath, Position
from seldon_spec.migrate.accepted import why_refused
from seldon_spec.migrate.candidates import Gathered, Rank

_OFFICIAL = re.compile(r"(?:docker\.io/)?(?:library/)?python:(?P<version>3\.[0-9]+(?:\.[0-9]+)?)-slim")
_PYTHON = re.compile(r"(?<![a-z])(?:python|pypy|py)[-:/_]?(?P<major>[23])\.?(?P<minor>[0-9]{1,2})?(?![0-9])")
_BUILDER = re.compile(r"(^|/)seldon-core-s2i-|(^|/)seldonio/")
_OLDEST, _NEWEST = 10, 13
_SUPPORTED = f"Python 3.{_OLDEST} to 3.{_NEWEST}"


def claim_base(base: str, unknown: Sequence[str], position: Position, gathered: Gathered) -> None:
    """Claim the base image, or its Python where it is Python's own slim image."""
    label = "FROM"
    if unknown:
        gathered.leave(position, label, f"the base is not known before the image is built: {', '.join(unknown)}")
        return
    python = _PYTHON.search(base)
    if _BUILDER.search(base):
        why = "this image contains seldon-core: the new image is built on python:<image.python>-slim"
        gathered.leave(position, f"{label} {base}", why)
        if python and python["minor"] and not _is_supported(python):
            _claim_oldest(python, position, f"{label} {base}", gathered)
        return
    if python and not _is_supported(python):
        _claim_oldest(python, position, f"{label} {base}", gathered)
        return
    official = _OFFICIAL.fullmatch(base)
    path = ("image", "python") if official else ("image", "base")
    _claim(path, official["version"] if official else base, position, label, gathered)
    if not official and not python:
        gathered.leave(position, f"{label} {base}", f"taken over as it is: it has to hold {_SUPPORTED}, and pip")


def _claim_oldest(python: re.Match[str], position: Position, label: str, gathered: Gathered) -> None:
    """Claim the oldest supported Python, for which most of the pinned versions of an old image still have wheels."""
    old = ".".join(part for part in (python["major"], python["minor"]) if part)
    oldest = f"3.{_OLDEST}"
    why = f"Python {old} is not supported; the new image uses {oldest}, the oldest supported version"
    gathered.leave(position, label, why)
    _claim(("image", "python"), oldest, position, label, gathered)


def _is_supported(python: re.Match[str]) -> bool:
    if python["major"] == "2":
        return False
    return python["minor"] is None or _OLDEST <= int(python["minor"]) <= _NEWEST


def _claim(path: FieldPath, value: object, position: Position, label: str, gathered: Gathered) -> None:
    """A claim that the schema accepts; another is left out."""
    refused = why_refused(path, value, position)
    if refused is None:
        gathered.claim(path, value, position, label, Rank.IMAGE)
    else:
        gathered.leave(position, label, f"no key takes it: {refused}")


def claim_user(user: str, position: Position, gathered: Gathered) -> None:
    """Claim a numeric user; a name means nothing in another image, and root is never taken over."""
    name = user.partition(":")[0]
    if name in ("root", "0"):
        gathered.leave(position, "USER", "our image never runs as root: the user is 8888, or image.user")
    elif name.isascii() and name.isdigit() and len(name) <= 10:
        _claim(("image", "user"), int(name), position, "USER", gathered)
    else:
        gathered.leave(position, "USER", "a name has no number here: the user is 8888, or image.user")


def claim_label(name: str, text: str, position: Position, gathered: Gathered) -> None:
    """Claim a label of the image; what the s2i builder wrote of itself is left out."""
    if name.startswith(("io.openshift.s2i.", "io.k8s.")):
        gathered.leave(position, f"LABEL {name}", "it described the s2i builder")
    elif re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*", name):
        _claim(("image", "labels", name), text, position, f"LABEL {name}", gathered)
    else:
        gathered.leave(position, "LABEL", "no key takes a label of this name")


def claim_work_folder(folder: str, position: Position, gathered: Gathered) -> None:
    """Claim the folder in which the code stands, so that paths in the class stay right."""
    _claim(("image", "workdir"), posixpath.normpath(folder), position, "WORKDIR", gathered)


_SERVED = frozenset({"9000", "5000", "6000", "9000/tcp", "5000/tcp", "6000/tcp"})


def leave_ports(ports: Sequence[tuple[str, Position]], gathered: Gathered) -> None:
    """Tell of exposed ports that are not the usual three: EXPOSE says nothing about what listens."""
    for port, position in ports:
        if port not in _SERVED:
            why = "it does not say what listens there: the image exposes what ports says"
            gathered.leave(position, f"EXPOSE {port}".rstrip(), why)
