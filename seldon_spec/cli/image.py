"""What `build` does: files rendered beside the folder, this package's wheel within it where need be, one builder."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seldon_spec import __version__
from seldon_spec.cli.builders import Build, BuildFailed, pick_builder, run_build, tell_step
from seldon_spec.cli.self_wheel import WHEEL_NAME, is_on_index, write_own_wheel
from seldon_spec.config.model import Spec
from seldon_spec.deploy.dockerfile.dockerfile import render_dockerfile
from seldon_spec.deploy.dockerfile.dockerignore import render_dockerignore
from seldon_spec.deploy.dockerfile.finish import REVISION_ARGUMENT
from seldon_spec.deploy.dockerfile.install import accepts_wheel

WHEEL_FOLDER = "seldon-spec-wheel"
"""Where the wheel stands in the user's folder while the image is built."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the command line says of a build; each stands above the file."""

    tag: str | None = None
    builder: str | None = None
    platforms: Sequence[str] = ()
    secrets: Sequence[str] = ()
    is_cached: bool = True
    is_pushed: bool = False
    further: Sequence[str] = ()


def build_image(spec: Spec, wishes: BuildOptions) -> str:
    """Build the image of a spec; returns its name, id and size.

    Raises:
        NoBuilder: no builder is here.
        BuildFailed: the builder or the registry refused.
    """
    began = time.monotonic()
    builder = pick_builder(wishes.builder)
    platforms = tuple(wishes.platforms or spec.image.platforms)
    if builder.name == "docker" and len(platforms) > 1 and not wishes.is_pushed:
        raise BuildFailed("docker keeps an image of several platforms only in a registry: add --push, or name one")
    revision = _find_revision(spec.folder)
    with tempfile.TemporaryDirectory(prefix="seldon-spec-") as name, _own_wheel(spec) as wheel:
        beside = Path(name)
        files = _write_files(spec, wheel, beside)
        build = Build(
            context=spec.folder,
            dockerfile=files[0],
            dockerignore=files[1],
            id_file=beside / "id",
            tag=wishes.tag or spec.image.tag or default_tag(spec),
            platforms=platforms,
            secrets=wishes.secrets,
            arguments={REVISION_ARGUMENT: revision} if revision else {},
            is_cached=wishes.is_cached,
            is_pushed=wishes.is_pushed,
            further=wishes.further,
        )
        built = run_build(builder, build)
    tell_step(f"built in {time.monotonic() - began:.1f} s")
    return built


def default_tag(spec: Spec) -> str:
    """The component's name and its version, in the letters that a tag may have; ``latest`` without a version."""
    return f"{spec.name}:{re.sub('[^A-Za-z0-9._-]', '-', spec.version or '').lstrip('.-')[:128] or 'latest'}"


@contextlib.contextmanager
def _own_wheel(spec: Spec) -> Iterator[str | None]:
    """The path of this package's wheel, put into the folder while the image is built; None where it needs none."""
    if not accepts_wheel(spec, __version__):
        yield None
        return
    tell_step(f"asking the index for seldon-spec {__version__}")
    if is_on_index(spec.image.index_url):
        yield None
        return
    tell_step("it is not there: its wheel is made here")
    folder = spec.folder / WHEEL_FOLDER
    try:
        folder.mkdir(exist_ok=True)
        wheel = write_own_wheel(folder)
    except OSError as error:
        raise BuildFailed(f"the wheel of seldon-spec cannot be put into {folder}: {error.strerror}") from None
    try:
        yield f"{WHEEL_FOLDER}/{WHEEL_NAME}"
    finally:
        wheel.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something of the user's own is in it
            folder.rmdir()


def _write_files(spec: Spec, wheel: str | None, beside: Path) -> tuple[Path, Path]:
    tell_step("rendering the Dockerfile")
    dockerfile, dockerignore = beside / "Dockerfile", beside / "Dockerfile.dockerignore"
    dockerfile.write_text(render_dockerfile(spec, __version__, wheel), encoding="utf-8")
    lines = [*find_patterns(spec), *([f"!{WHEEL_FOLDER}"] if wheel else [])]
    dockerignore.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
    return dockerfile, dockerignore


def find_patterns(spec: Spec) -> list[str]:
    """What of the folder is left out of an image, as the lines of a .dockerignore.

    They are the folder's own, as long as the spec says nothing of the matter, else the rendered ones.
    """
    own = spec.folder / ".dockerignore"
    if own.is_file() and not spec.image.include and not spec.image.exclude:
        return own.read_text("utf-8", errors="surrogateescape").rstrip("\n").split("\n")
    return render_dockerignore(spec, __version__).rstrip("\n").split("\n")


def _find_revision(folder: Path) -> str | None:
    """The commit that the folder is at, with ``-dirty`` where it differs from it; None outside a repository."""
    if shutil.which("git") is None:
        return None
    commit = _ask_git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}-dirty" if _ask_git(folder, "status", "--porcelain", "--", ".") else commit


def _ask_git(folder: Path, *words: str) -> str | None:
    command = ["git", "-C", str(folder), *words]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return asked.stdout.strip() if asked.returncode == 0 else None
