"""The option ``--on ray`` of the command ``batch``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from seldon_spec.batch.scoring import RequestOptions, Scoring
from seldon_spec.cli.exit_codes import print_diagnostics, write_stderr
from seldon_spec.cli.ray_cluster import find_address, prepare_nodes, set_defaults
from seldon_spec.config.deployment import ReplicasSpec
from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.ray import add_resources, find_node_secrets
from seldon_spec.errors import FieldPath

_PACKAGES = ("ray", "psutil", "pyarrow", "pandas")
"""What Ray Data imports, and this package with it."""


@contextmanager
def open_scoring_on_ray(spec: Spec, flags: Mapping[FieldPath, str], requests: RequestOptions) -> Iterator[Scoring]:
    """Start the replicas of a model on the cluster of RAY_ADDRESS, or on a local one that ends with the context.

    Args:
        spec: as ``load`` returns it for the flags.
        flags: of the command line.
        requests: how the rows are sent to the model.

    Raises:
        WrongArgument: a package is missing, or RAY_ADDRESS is not the address of a cluster.
        SpecError: a secret cannot be read.
        SeldonSpecError: as ``ray.scoring.open_scoring`` raises.
        Stopped: a signal has arrived.
    """
    address = find_address("--on ray", _PACKAGES)
    if address is not None:
        print_diagnostics(tuple(find_node_secrets(spec)), with_summary=False)
    set_defaults({"RAY_ENABLE_AUTO_CONNECT": "0"})  # a thread that outlives the cluster would start another one
    nodes = prepare_nodes(spec, flags, is_local=address is None)
    write_stderr("starting a cluster of Ray" if address is None else f"connecting to the cluster {address}")

    from seldon_spec.ray.scoring import BatchJob, open_scoring

    job = BatchJob(
        nodes.path,
        requests,
        add_resources(spec),
        _find_replicas(spec),
        address,
        nodes.runtime_env,
        nodes.mark,
        write_stderr,
    )
    with open_scoring(job) as scoring:
        yield scoring


def _find_replicas(spec: Spec) -> tuple[int, int] | None:
    """Return the smallest and the largest number of replicas; None: the spec has none."""
    if not any(path[:2] == ("deployment", "replicas") for path in spec.origins):
        return None
    replicas = spec.deployment.replicas
    return (replicas.min, replicas.max) if isinstance(replicas, ReplicasSpec) else (replicas, replicas)
