"""The builders of images: which of them is here, and the words that each is told.

The words are made without running anything; ``run_build`` runs them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seldon_spec.cli.exit_codes import say
from seldon_spec.errors import SeldonSpecError

INSTALL_HELP = (
    "no builder of images is here; install one of\n"
    "  Docker with buildx  https://docs.docker.com/engine/install\n"
    "  Podman              https://podman.io/docs/installation\n"
    "  Buildah             https://github.com/containers/buildah/blob/main/install.md\n"
    "or write the Dockerfile with `seldon-spec dockerfile` and build it elsewhere"
)


class NoBuilder(SeldonSpecError):
    """No builder is here, or not the one that was asked for."""


class BuildFailed(SeldonSpecError):
    """The builder or the registry refused; what it said stands on stderr."""


@dataclass(frozen=True, slots=True)
class Build:
    """One build.

    Attributes:
        context: the user's folder.
        dockerfile: the rendered file, outside the context.
        dockerignore: the patterns, beside it.
        id_file: where the builder writes the image's id.
        platforms: empty: the builder's own.
        secrets: each as the builders spell it, e.g. ``id=netrc,src=/home/me/.netrc``.
        arguments: build arguments by name.
        further: words for the builder that are passed on as they are.
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
    further: Sequence[str] = ()

    @property
    def is_many(self) -> bool:
        """Whether the tag names a list of images rather than one."""
        return len(self.platforms) > 1


@dataclass(frozen=True, slots=True)
class Builder:
    """What tells one program from another."""

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
    yield from build.further


def _docker_build(build: Build) -> list[str]:
    # Docker reads the patterns from a file of the Dockerfile's name beside it. It cannot keep a list of images itself.
    output = "--push" if build.is_many and build.is_pushed else "--load"
    words = ["docker", "buildx", "build", *_common(build), output, "--iidfile", str(build.id_file)]
    return [*words, "--tag", build.tag, str(build.context)]


def _docker_push(build: Build) -> list[str] | None:
    return None if build.is_many else ["docker", "push", build.tag]


def _podman_build(build: Build) -> list[str]:
    # The format of Docker keeps HEALTHCHECK, which that of OCI has no place for.
    words = ["--format", "docker", "--layers", *_common(build), "--ignorefile", str(build.dockerignore)]
    named = ["--manifest", build.tag] if build.is_many else ["--tag", build.tag, "--iidfile", str(build.id_file)]
    return [*words, *named, str(build.context)]


def _push_with(name: str) -> Callable[[Build], list[str] | None]:
    def push(build: Build) -> list[str]:
        if build.is_many:
            return [name, "manifest", "push", "--all", build.tag, f"docker://{build.tag}"]
        return [name, "push", build.tag]

    return push


BUILDERS: Mapping[str, Builder] = {
    "docker": Builder(
        "docker",
        # The command may be there without its engine.
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
"""In the order in which they are looked for."""


def pick_builder(name: str | None) -> Builder:
    """The builder that is asked for, or the first that is here and works.

    Raises:
        NoBuilder: there is none.
    """
    if name is not None:
        if not _works(BUILDERS[name]):
            raise NoBuilder(f"{name} is not here, or does not work: `{' '.join(BUILDERS[name].probe)}` fails")
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
    """Build, show the builder's progress on stderr, push where that is asked for; returns the image's id and size.

    Raises:
        BuildFailed: the builder or the registry refused.
    """
    tell_step(f"building {build.tag} with {builder.name}")
    _run(builder.build(build))
    push = builder.push(build) if build.is_pushed else None
    if push is not None:
        tell_step(f"pushing {build.tag}")
        _run(push)
    if build.is_many:
        return f"{build.tag} for {', '.join(build.platforms)}"
    image = build.id_file.read_text().strip()
    return f"{build.tag} {image} {_size(builder, image)}"


def tell_step(step: str) -> None:
    """Say on stderr what is being done, before what the builder says of it."""
    say(step)


def _run(words: list[str]) -> None:
    # The builder's own stdout is progress too: stdout is for what was built.
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), check=False)  # noqa: S603
    if ended.returncode != 0:
        raise BuildFailed(f"{words[0]} ended with exit code {ended.returncode}")


def _size(builder: Builder, image: str) -> str:
    """As people write it; buildah knows only such a text, the others count bytes."""
    asked = subprocess.run(builder.inspect(image), capture_output=True, text=True, check=False)  # noqa: S603
    if asked.returncode != 0:
        raise BuildFailed(f"{builder.name} built {image} and does not know it: {asked.stderr.strip()}")
    told = json.loads(asked.stdout)[0]
    size = told.get("Size", told.get("size"))
    return size if isinstance(size, str) else f"{size / 1e6:.0f} MB"
