"""The command ``build``: render the files outside the folder, add this package's wheel if needed, run a builder."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seldon_spec import __version__
from seldon_spec.cli.builders import Build, BuildFailed, find_builder, run_build
from seldon_spec.cli.exit_codes import write_stderr
from seldon_spec.cli.self_wheel import WHEEL_NAME, is_on_index, write_self_wheel
from seldon_spec.config.image_name import find_tag
from seldon_spec.config.model import Spec
from seldon_spec.deploy.dockerfile.dockerfile import render_dockerfile
from seldon_spec.deploy.dockerfile.dockerignore import render_dockerignore
from seldon_spec.deploy.dockerfile.finish import REVISION_ARGUMENT
from seldon_spec.deploy.dockerfile.install import accepts_wheel

WHEEL_FOLDER = "seldon-spec-wheel"
"""Folder of the wheel in the build context during the build."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Options of the command line; they override the file."""

    tag: str | None = None
    builder: str | None = None
    platforms: Sequence[str] = ()
    secrets: Sequence[str] = ()
    is_cached: bool = True
    is_pushed: bool = False
    extra_arguments: Sequence[str] = ()


def build_image(spec: Spec, options: BuildOptions) -> str:
    """Build the image of a spec; return its name, ID and size.

    Raises:
        NoBuilder: no builder is installed.
        BuildFailed: the builder or the registry failed.
    """
    started = time.monotonic()
    builder = find_builder(options.builder)
    platforms = tuple(options.platforms or spec.image.platforms)
    if builder.name == "docker" and len(platforms) > 1 and not options.is_pushed:
        raise BuildFailed("docker stores multi-platform images only in a registry: add --push, or name one platform")
    revision = _find_revision(spec.folder)
    with tempfile.TemporaryDirectory(prefix="seldon-spec-") as name, _self_wheel(spec) as wheel:
        folder = Path(name)
        files = _write_files(spec, wheel, folder)
        build = Build(
            context=spec.folder,
            dockerfile=files[0],
            dockerignore=files[1],
            id_file=folder / "id",
            tag=options.tag or find_tag(spec),
            platforms=platforms,
            secrets=options.secrets,
            arguments={REVISION_ARGUMENT: revision} if revision else {},
            is_cached=options.is_cached,
            is_pushed=options.is_pushed,
            extra_arguments=options.extra_arguments,
        )
        built = run_build(builder, build)
    write_stderr(f"built in {time.monotonic() - started:.1f} s")
    return built


@contextlib.contextmanager
def _self_wheel(spec: Spec) -> Iterator[str | None]:
    """Write this package's wheel into the folder during the build and yield its path; None if an index has it."""
    if not accepts_wheel(spec, __version__):
        yield None
        return
    write_stderr(f"looking for seldon-spec {__version__} on the package index")
    if is_on_index(spec.image.index_url):
        yield None
        return
    write_stderr("not found: using a wheel of the installed package")
    folder = spec.folder / WHEEL_FOLDER
    try:
        folder.mkdir(exist_ok=True)
        wheel = write_self_wheel(folder)
    except OSError as error:
        raise BuildFailed(f"the wheel of seldon-spec cannot be written to {folder}: {error.strerror}") from None
    try:
        yield f"{WHEEL_FOLDER}/{WHEEL_NAME}"
    finally:
        wheel.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it contains a file of the user
            folder.rmdir()


def _write_files(spec: Spec, wheel: str | None, folder: Path) -> tuple[Path, Path]:
    write_stderr("rendering the Dockerfile")
    dockerfile, dockerignore = folder / "Dockerfile", folder / "Dockerfile.dockerignore"
    dockerfile.write_text(render_dockerfile(spec, __version__, wheel), encoding="utf-8")
    lines = [*find_patterns(spec), *([f"!{WHEEL_FOLDER}"] if wheel else [])]
    dockerignore.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
    return dockerfile, dockerignore


def find_patterns(spec: Spec) -> list[str]:
    """Return the lines of the folder's .dockerignore, or the rendered ones if the spec includes or excludes paths."""
    own = spec.folder / ".dockerignore"
    if own.is_file() and not spec.image.include and not spec.image.exclude:
        return own.read_text("utf-8", errors="surrogateescape").rstrip("\n").split("\n")
    return render_dockerignore(spec, __version__).rstrip("\n").split("\n")


def _find_revision(folder: Path) -> str | None:
    """Return the commit of the folder, with ``-dirty`` if there are changes; None outside a repository."""
    if shutil.which("git") is None:
        return None
    commit = _run_git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}-dirty" if _run_git(folder, "status", "--porcelain", "--", ".") else commit


def _run_git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return result.stdout.strip() if result.returncode == 0 else None
