"""Which cluster of Ray a command uses, and how the spec and its variables get to the nodes."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from seldon_spec.cli.exit_codes import WrongArgument
from seldon_spec.cli.image import find_patterns
from seldon_spec.config.build_spec import list_local
from seldon_spec.config.checks.patterns import is_left_out
from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.layers.variables import rows_of
from seldon_spec.config.model import Spec
from seldon_spec.config.secrets import prepare_to_load
from seldon_spec.deploy.manifest.complete_variables import build_environment
from seldon_spec.deploy.manifest.tree import to_plain
from seldon_spec.deploy.manifest.workload import Workload
from seldon_spec.errors import FieldPath

_SPECIAL = re.compile(r"[*?\[\]\\!#]")
"""The characters with a meaning in a pattern of .gitignore."""

START_SECONDS = "60"
"""How long a process of Ray may take to start: the defaults are too short for a busy machine."""


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Where a spec is on the nodes of a cluster.

    Attributes:
        path: of the spec.
        runtime_env: the files and variables that Ray copies to the nodes of an existing cluster.
        mark: a variable that only the processes of a local cluster are started with.
    """

    path: str
    runtime_env: Mapping[str, Any]
    mark: tuple[str, str]


def find_address(command: str, packages: Sequence[str] = ("ray",)) -> str | None:
    """Return the address of an existing cluster; None: the command starts one of this machine.

    Args:
        command: that needs Ray, for the error.
        packages: that it imports.

    Raises:
        WrongArgument: Ray is not installed, or RAY_ADDRESS is not the address of a cluster.
    """
    missing = next((name for name in packages if find_spec(name) is None), None)
    if missing is not None:
        raise WrongArgument(
            f"{command} needs a package that is not installed: {missing}", "pip install 'seldon-spec[ray]'"
        )
    address = os.environ.get("RAY_ADDRESS") or None
    if address is not None and "://" in address:
        raise WrongArgument(
            f"RAY_ADDRESS: {address} is not HOST:PORT",
            "run the command on a node of the cluster, or as a job of it, with RAY_ADDRESS=auto",
        )
    return None if address == "local" else address


def prepare_nodes(spec: Spec, flags: Mapping[FieldPath, str], *, is_local: bool) -> NodeFiles:
    """Return where processes of a cluster load a spec; set the variables that Ray and its processes read.

    Args:
        spec: as ``load`` returns it for the flags.
        flags: of the command line, which the processes of a local cluster get as variables.
        is_local: whether the command starts the cluster.

    Raises:
        WrongArgument: a component is in a folder that Ray does not copy to the nodes.
        SpecError: a secret cannot be read.
    """
    variables = {"RAY_RUNTIME_ENV_IGNORE_GITIGNORE": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    if is_local:
        variables |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # the command reports those of replicas
            "RAY_raylet_start_wait_time_s": START_SECONDS,
        }
    set_defaults(variables)
    mark = ("SELDON_SPEC_CLUSTER", secrets.token_hex(16))
    if not is_local:
        return NodeFiles(spec.file, _describe_files(Workload(spec.name, spec, spec)), mark)
    prepare_to_load(spec, os.environ)  # fails before the cluster starts; replicas read their secrets themselves
    os.environ.update({generic_variable(path): text for path, text in flags.items()})
    os.environ.update([mark])
    return NodeFiles(str((spec.folder / spec.file).absolute()), {}, mark)


def set_defaults(variables: Mapping[str, str]) -> None:
    """Set variables, unless the user has set them."""
    for name, text in variables.items():
        os.environ.setdefault(name, text)


def _describe_files(workload: Workload) -> dict[str, Any]:
    """Return what Ray copies to the nodes of a cluster: the files that an image would contain, and the variables."""
    spec = workload.spec
    for component in list_local(spec):
        if not component.folder.resolve().is_relative_to(spec.folder.resolve()):
            problem = f"component {component.unit.id} is outside the folder of the graph, which Ray copies to the nodes"
            raise WrongArgument(problem, "move it into that folder, or serve it apart and set its url")
    environment = build_environment(workload, drains=False, is_complete=False)
    variables = {each["name"]: str(to_plain(each["value"])) for each in environment if "value" in each}
    labels = {row.name: os.environ[row.name] for row in rows_of("unit") if row.name in os.environ}
    return {
        "working_dir": str(spec.folder.absolute()),
        "excludes": list(_list_left_out(spec.folder, find_patterns(spec))),
        "env_vars": {**labels, **variables},
    }


def _list_left_out(folder: Path, patterns: Sequence[str]) -> Iterator[str]:
    """Yield the files and folders that patterns of a .dockerignore exclude, as patterns of a .gitignore."""
    has_exceptions = any(pattern.startswith("!") for pattern in patterns)
    for place, folders, files in os.walk(folder):
        inner = PurePosixPath(Path(place).relative_to(folder).as_posix())
        for name in [*folders, *files]:
            if is_left_out(inner / name, patterns) and not (has_exceptions and name in folders):
                yield "/" + _SPECIAL.sub(r"\\\g<0>", str(inner / name))
                if name in folders:
                    folders.remove(name)
