"""Check the files of an image: needed files that a pattern excludes, and secrets that none excludes."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.imports import ImportScan
from seldon_spec.config.checks.patterns import USUAL_PATTERNS, find_pattern, is_left_out
from seldon_spec.config.checks.requirements import Requirements
from seldon_spec.config.paths import Unreadable, decode_text, is_file, is_inside, read_file
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Position, Severity

MAX_ENTRIES = 20_000
"""The limit of files and directories to check, outer directories first."""

_MAX_REPORTED = 20
_HEAD_BYTES = 64 * 1024
_MAX_IGNORE_BYTES = 1024 * 1024
_DOCKERIGNORE = ".dockerignore"

_SECRET_FOLDERS = frozenset({".aws", ".ssh", ".gnupg", ".kube", ".azure", ".gcloud"})
_SECRET_FILES = re.compile(
    r"\.env|\.env\.(?!example$|sample$|template$|dist$|test$).+|[._]netrc|\.pypirc|\.npmrc|\.pgpass|\.git-credentials"
    r"|\.dockercfg|\.docker/config\.json|\.s3cfg|\.boto|\.vault-token|\.htpasswd|id_(rsa|dsa|ecdsa|ed25519)(_sk)?"
    r"|credentials(\.json)?|client_secret.*\.json|.*service[_-]?account.*\.json|application_default_credentials\.json"
    r"|kubeconfig|.*\.kubeconfig|secrets?\.(ya?ml|json|toml)|.*\.(p12|pfx|jks|keystore|ppk|kdbx)",
    re.IGNORECASE,
)
_KEY_FILES = re.compile(r".*\.(pem|key)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Patterns:
    """The patterns of the spec, of the folder's .dockerignore, or the default ones."""

    lines: Sequence[str]
    is_own_file: bool = False
    is_rendered: bool = False
    """From ``image.include`` and ``image.exclude``, which never exclude a file that the Dockerfile copies."""


def image_patterns(context: RuleContext) -> Patterns:
    """Return the patterns that apply to a build of the image."""
    image = context.values.get(("image",)) or {}
    excluded, included = image.get("exclude") or [], image.get("include") or []
    if excluded or included:
        return Patterns([*USUAL_PATTERNS, *excluded, *(f"!{pattern}" for pattern in included)], is_rendered=True)
    own = context.folder / _DOCKERIGNORE
    if not is_file(own) or not is_inside(context.folder, _DOCKERIGNORE):
        return Patterns(USUAL_PATTERNS)
    try:
        lines = decode_text(read_file(own, _MAX_IGNORE_BYTES), "replace").splitlines()
    except Unreadable:
        lines = []
    return Patterns(lines, is_own_file=True)


def find_file_problems(context: RuleContext, requirements: Requirements, scan: ImportScan) -> Iterator[Diagnostic]:
    """Report needed files that are excluded, then secrets that are not.

    The patterns for a component are those of its graph, whose check finds the secrets of its folder too.
    """
    root = context.graph or context
    place = posixpath.relpath(context.folder.resolve().as_posix(), root.folder.resolve().as_posix())
    if place.startswith(".."):
        return  # another check reports it
    patterns = image_patterns(root)
    yield from _hidden(context, requirements, scan, patterns, place)
    if root is context:
        yield from _secrets(context, patterns)


def _needed(
    context: RuleContext, requirements: Requirements, scan: ImportScan, patterns: Patterns
) -> Iterator[tuple[str, bool]]:
    """Yield each file that the Dockerfile or the server needs, and whether it is certainly needed."""
    yield from scan.files.items()
    if patterns.is_rendered:
        return
    yield Path(context.document.file).name, True
    image = context.values.get(("image",)) or {}
    wheel, model = image.get("seldon_spec"), context.values.get(("model", "path"))
    copied = [
        *requirements.files,
        *requirements.parts,
        *(image.get("model_files") or []),
        *([model] if isinstance(model, str) else []),
        *(link for link in image.get("find_links") or [] if "://" not in link),
        *([wheel] if isinstance(wheel, str) and wheel.endswith(".whl") else []),
    ]
    yield from ((posixpath.normpath(path), True) for path in copied)


def _hidden(
    context: RuleContext, requirements: Requirements, scan: ImportScan, patterns: Patterns, place: str
) -> Iterator[Diagnostic]:
    root = context.graph or context
    by_line: dict[int, dict[str, bool]] = {}
    for own, is_certain in _needed(context, requirements, scan, patterns):
        file = posixpath.normpath(posixpath.join(place, own))
        index = find_pattern(PurePosixPath(file), patterns.lines)
        if index is not None:
            by_line.setdefault(index, {})[file] = is_certain
    for index, files in by_line.items():
        names = ", ".join(list(files)[:8]) + (", …" if len(files) > 8 else "")
        pattern = patterns.lines[index]
        source = (
            _DOCKERIGNORE if patterns.is_own_file else "image.exclude" if patterns.is_rendered else "the default list"
        )
        yield Diagnostic(
            "hidden-file",
            f"{source} excludes {names}, which the image needs",
            _pattern_origin(root, patterns, index),
            Severity.ERROR if any(files.values()) else Severity.WARNING,
            ("image", "exclude") if patterns.is_rendered else (),
            found=pattern.strip(),
            help=f"add !{next(iter(files))} below it, or narrow the pattern"
            if patterns.is_own_file
            else f"add image.include: [{', '.join(list(files)[:8])}]",
        )


def _pattern_origin(context: RuleContext, patterns: Patterns, index: int) -> Origin:
    if patterns.is_own_file:
        text = patterns.lines[index]
        position = Position(str(context.folder / _DOCKERIGNORE), index + 1, 1, max(1, len(text)), text)
        return Origin(OriginKind.FILE, position.file, position)
    number = index - len(USUAL_PATTERNS)
    if patterns.is_rendered and number >= 0:
        return context.item_origin("image", "exclude", str(number))
    return context.origin("class_name")


def _secrets(context: RuleContext, patterns: Patterns) -> Iterator[Diagnostic]:
    """Report files with the name of a secret that the build copies."""
    key = (context.values.get(("server", "tls")) or {}).get("key")
    found = [path for path in _walk(context.folder, patterns.lines) if path != key]
    for path in found[:_MAX_REPORTED]:
        more = f"; {len(found) - 1} more files like it" if len(found) > _MAX_REPORTED and path == found[0] else ""
        position = Position(str(context.folder / path), 1, 1)
        where = f"add {path} to .dockerignore" if patterns.is_own_file else f"add image.exclude: [{path}]"
        yield Diagnostic(
            "secret-in-image",
            f"the image would contain {path}, whose name suggests a secret{more}",
            Origin(OriginKind.FILE, position.file, position),
            Severity.WARNING,
            ("image", "exclude"),
            help=f"{where}; mount the secret into the container",
        )


def _walk(folder: Path, patterns: Sequence[str]) -> Iterator[str]:
    """Yield the paths of secrets that no pattern excludes, breadth first, up to a limit; does not follow links."""
    pending = [""]
    left = MAX_ENTRIES
    kept = [line.strip()[1:].lstrip("/") for line in patterns if line.strip().startswith("!")]
    while pending and left > 0:
        below = pending.pop(0)
        try:
            entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries[:left]:
            path = posixpath.join(below, entry.name)
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and entry.name not in _SECRET_FOLDERS:
                may_keep = any(pattern.startswith((f"{path}/", "*")) for pattern in kept)
                if may_keep or not is_left_out(PurePosixPath(path), patterns):
                    pending.append(path)
            elif (is_folder or _is_secret(folder, path, entry)) and not is_left_out(PurePosixPath(path), patterns):
                yield f"{path}/" if is_folder else path
        left -= len(entries)


def _is_secret(folder: Path, path: str, entry: os.DirEntry[str]) -> bool:
    if _SECRET_FILES.fullmatch(entry.name) or path.endswith(".docker/config.json"):
        return True
    if not _KEY_FILES.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
        return False
    try:
        with (folder / path).open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return False
    if b"PRIVATE KEY" in head:
        return True
    return entry.name.lower().endswith(".pem") and b"-----BEGIN " not in head
