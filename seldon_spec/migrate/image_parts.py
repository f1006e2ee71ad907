"""Parts of an image with an equivalent key of ``image``: base, user, labels, working directory and ports."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from seldon_spec.config.schema.check import check
from seldon_spec.config.schema.locations import SourceLocations
from seldon_spec.config.schema.lookup import field_schema
from seldon_spec.errors import FieldPath, Origin, OriginKind, Position
from seldon_spec.migrate.candidates import Gathered, Rank

_OFFICIAL = re.compile(r"(?:docker\.io/)?(?:library/)?python:(?P<version>3\.[0-9]+(?:\.[0-9]+)?)-slim")
_PYTHON = re.compile(r"(?<![a-z])(?:python|pypy|py)[-:/_]?(?P<major>[23])\.?(?P<minor>[0-9]{1,2})?(?![0-9])")
_BUILDER = re.compile(r"(^|/)seldon-core-s2i-|(^|/)seldonio/")
_OLDEST, _NEWEST = 10, 13
_SUPPORTED = f"Python 3.{_OLDEST} to 3.{_NEWEST}"


def find_objection(path: FieldPath, value: object, position: Position) -> str | None:
    """Return what the key at ``path`` allows if it does not accept the value; None if it does."""
    if field_schema(path) is None:
        return "there is no such key"
    origin = Origin(OriginKind.FILE, position.file, position)
    problems = check(value, path, SourceLocations.single(origin))
    return (problems[0].allowed or problems[0].message) if problems else None


def add_base(base: str, unknown: Sequence[str], position: Position, gathered: Gathered) -> None:
    """Add the base image, or ``image.python`` for the official slim image of Python."""
    label = "FROM"
    if unknown:
        gathered.leave_out(position, label, f"the base is known only during the build: {', '.join(unknown)}")
        return
    python = _PYTHON.search(base)
    if _BUILDER.search(base):
        why = "this image contains seldon-core: the new image is built on python:<image.python>-slim"
        gathered.leave_out(position, f"{label} {base}", why)
        if python and python["minor"] and not _is_supported(python):
            _add_oldest(python, position, f"{label} {base}", gathered)
        return
    if python and not _is_supported(python):
        _add_oldest(python, position, f"{label} {base}", gathered)
        return
    official = _OFFICIAL.fullmatch(base)
    path = ("image", "python") if official else ("image", "base")
    _add(path, official["version"] if official else base, position, label, gathered)
    if not official and not python:
        gathered.leave_out(position, f"{label} {base}", f"migrated unchanged: it must contain {_SUPPORTED}, and pip")


def _add_oldest(python: re.Match[str], position: Position, label: str, gathered: Gathered) -> None:
    """Add the oldest supported Python, for which most of the old pinned versions still have wheels."""
    old = ".".join(part for part in (python["major"], python["minor"]) if part)
    oldest = f"3.{_OLDEST}"
    why = f"Python {old} is not supported; the new image uses {oldest}, the oldest supported version"
    gathered.leave_out(position, label, why)
    _add(("image", "python"), oldest, position, label, gathered)


def _is_supported(python: re.Match[str]) -> bool:
    if python["major"] == "2":
        return False
    return python["minor"] is None or _OLDEST <= int(python["minor"]) <= _NEWEST


def _add(path: FieldPath, value: object, position: Position, label: str, gathered: Gathered) -> None:
    """Add a candidate that the schema accepts; report another."""
    objection = find_objection(path, value, position)
    if objection is None:
        gathered.add(path, value, position, label, Rank.IMAGE)
    else:
        gathered.leave_out(position, label, f"no key accepts it: {objection}")


def add_user(user: str, position: Position, gathered: Gathered) -> None:
    """Add a numeric user; a name may not exist in another image, and root is not migrated."""
    name = user.partition(":")[0]
    if name in ("root", "0"):
        gathered.leave_out(position, "USER", "the new image does not run as root: the user is 8888, or image.user")
    elif name.isascii() and name.isdigit() and len(name) <= 10:
        _add(("image", "user"), int(name), position, "USER", gathered)
    else:
        gathered.leave_out(position, "USER", "the number of this name is unknown: the user is 8888, or image.user")


def add_label(name: str, text: str, position: Position, gathered: Gathered) -> None:
    """Add a label of the image; labels of the s2i builder are left out."""
    if name.startswith(("io.openshift.s2i.", "io.k8s.")):
        gathered.leave_out(position, f"LABEL {name}", "it describes the s2i builder")
    elif re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*", name):
        _add(("image", "labels", name), text, position, f"LABEL {name}", gathered)
    else:
        gathered.leave_out(position, "LABEL", "image.labels does not accept this name")


def add_work_folder(folder: str, position: Position, gathered: Gathered) -> None:
    """Add the working directory, so that paths in the class stay valid."""
    _add(("image", "workdir"), posixpath.normpath(folder), position, "WORKDIR", gathered)


_SERVED = frozenset({"9000", "5000", "6000", "9000/tcp", "5000/tcp", "6000/tcp"})


def report_ports(ports: Sequence[tuple[str, Position]], gathered: Gathered) -> None:
    """Report exposed ports other than the usual three: EXPOSE has no information about the server."""
    for port, position in ports:
        if port not in _SERVED:
            why = "its purpose is unknown: the image exposes the ports of the key ports"
            gathered.leave_out(position, f"EXPOSE {port}".rstrip(), why)
