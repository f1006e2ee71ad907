"""A cluster of Ray with several nodes on this machine; the first one runs no replicas.

It prints the address of the cluster, and then reads commands from stdin, ``add`` and ``remove``, which start and end a
node with one CPU, and prints each when it is done.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

_OBJECT_STORE_BYTES = 100 << 20


def main() -> None:
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    _print(cluster.address)
    nodes = []
    for line in map(str.strip, sys.stdin):
        if line == "add":
            nodes.append(cluster.add_node(num_cpus=1, object_store_memory=_OBJECT_STORE_BYTES))
        elif line == "remove":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        _print(line)
    cluster.shutdown()


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
