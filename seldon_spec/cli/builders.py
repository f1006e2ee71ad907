"""Image builders: detection, and the command line of each.

The command lines are built without running anything; ``run_build`` runs them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seldon_spec.cli.exit_codes import write_stderr
from seldon_spec.errors import SeldonSpecError

INSTALL_HELP = (
    "no image builder is installed; install one of\n"
    "  Docker with buildx  https://docs.docker.com/engine/install\n"
    "  Podman              https://podman.io/docs/installation\n"
    "  Buildah             https://github.com/containers/buildah/blob/main/install.md\n"
    "or write the Dockerfile with `seldon-spec dockerfile` and build it elsewhere"
)


class NoBuilder(SeldonSpecError):
    """No builder is installed, or the requested one does not work."""


class BuildFailed(SeldonSpecError):
    """The builder or the registry failed; its output is on stderr."""


@dataclass(frozen=True, slots=True)
class Build:
    """One build.

    Attributes:
        context: the user's folder.
        dockerfile: the rendered file, outside the context.
        dockerignore: the ignore file, in the same folder.
        id_file: where the builder writes the image ID.
        platforms: empty for the platform of the builder.
        secrets: in the syntax of the builders, e.g. ``id=netrc,src=/home/me/.netrc``.
        arguments: build arguments by name.
        extra_arguments: passed to the builder unchanged.
    """

    context: Path
    dockerfile: Path
    dockerignore: Path
    id_file: Path
    tag: str
    platforms: Sequence[str] = ()
    secrets: Sequence[str] = ()
    arguments: Mapping[str, str] | None = None
    is_cached: bool = True
    is_pushed: bool = False
    extra_arguments: Sequence[str] = ()

    @property
    def is_multi_platform(self) -> bool:
        """Return whether the tag names a manifest list rather than a single image."""
        return len(self.platforms) > 1


@dataclass(frozen=True, slots=True)
class Builder:
    """The command lines of one builder."""

    name: str
    probe: Sequence[str]
    build: Callable[[Build], list[str]]
    push: Callable[[Build], list[str] | None]
    inspect: Callable[[str], list[str]]


def _common(build: Build) -> Iterator[str]:
    yield from ("--file", str(build.dockerfile))
    if build.platforms:
        yield from ("--platform", ",".join(build.platforms))
    for secret in build.secrets:
        yield from ("--secret", secret)
    for name, value in sorted((build.arguments or {}).items()):
        yield from ("--build-arg", f"{name}={value}")
    if not build.is_cached:
        yield "--no-cache"
    yield from build.extra_arguments


def _docker_build(build: Build) -> list[str]:
    # Docker reads DOCKERFILE.dockerignore beside the Dockerfile. It cannot load a manifest list, only push it.
    output = "--push" if build.is_multi_platform and build.is_pushed else "--load"
    command = ["docker", "buildx", "build", *_common(build), output, "--iidfile", str(build.id_file)]
    return [*command, "--tag", build.tag, str(build.context)]


def _docker_push(build: Build) -> list[str] | None:
    return None if build.is_multi_platform else ["docker", "push", build.tag]


def _podman_build(build: Build) -> list[str]:
    # The OCI format has no HEALTHCHECK.
    arguments = ["--format", "docker", "--layers", *_common(build), "--ignorefile", str(build.dockerignore)]
    target = (
        ["--manifest", build.tag] if build.is_multi_platform else ["--tag", build.tag, "--iidfile", str(build.id_file)]
    )
    return [*arguments, *target, str(build.context)]


def _push_with(name: str) -> Callable[[Build], list[str] | None]:
    def push(build: Build) -> list[str]:
        if build.is_multi_platform:
            return [name, "manifest", "push", "--all", build.tag, f"docker://{build.tag}"]
        return [name, "push", build.tag]

    return push


BUILDERS: Mapping[str, Builder] = {
    "docker": Builder(
        "docker",
        # The client may be installed without the engine.
        ("docker", "buildx", "inspect"),
        _docker_build,
        _docker_push,
        lambda image: ["docker", "image", "inspect", image],
    ),
    "podman": Builder(
        "podman",
        ("podman", "--version"),
        lambda build: ["podman", "build", *_podman_build(build)],
        _push_with("podman"),
        lambda image: ["podman", "image", "inspect", image],
    ),
    "buildah": Builder(
        "buildah",
        ("buildah", "--version"),
        lambda build: ["buildah", "build", *_podman_build(build)],
        _push_with("buildah"),
        lambda image: ["buildah", "images", "--json", image],
    ),
}
"""In order of preference."""


def find_builder(name: str | None) -> Builder:
    """Return the named builder, or the first that works.

    Raises:
        NoBuilder: there is none.
    """
    if name is not None:
        if not _works(BUILDERS[name]):
            raise NoBuilder(f"{name} is not installed or does not work: `{' '.join(BUILDERS[name].probe)}` fails")
        return BUILDERS[name]
    for builder in BUILDERS.values():
        if _works(builder):
            return builder
    raise NoBuilder(INSTALL_HELP)


def _works(builder: Builder) -> bool:
    if shutil.which(builder.probe[0]) is None:
        return False
    return subprocess.run(builder.probe, capture_output=True, check=False).returncode == 0  # noqa: S603


def run_build(builder: Builder, build: Build) -> str:
    """Build the image, push it if requested, and return its tag, ID and size; the builder's output goes to stderr.

    Raises:
        BuildFailed: the builder or the registry failed.
    """
    write_stderr(f"building {build.tag} with {builder.name}")
    _run(builder.build(build))
    push = builder.push(build) if build.is_pushed else None
    if push is not None:
        write_stderr(f"pushing {build.tag}")
        _run(push)
    if build.is_multi_platform:
        return f"{build.tag} for {', '.join(build.platforms)}"
    image = build.id_file.read_text().strip()
    return f"{build.tag} {image} {_size(builder, image)}"


def _run(command: list[str]) -> None:
    # The builder's stdout is progress; stdout of this command is for the result.
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), check=False)  # noqa: S603
    if result.returncode != 0:
        raise BuildFailed(f"{command[0]} failed with exit code {result.returncode}")


def _size(builder: Builder, image: str) -> str:
    """Return the size as text; buildah reports text, the others a number of bytes."""
    result = subprocess.run(builder.inspect(image), capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        raise BuildFailed(f"{builder.name} cannot inspect the image {image} that it built: {result.stderr.strip()}")
    details = json.loads(result.stdout)[0]
    size = details.get("Size", details.get("size"))
    return size if isinstance(size, str) else f"{size / 1e6:.0f} MB"
