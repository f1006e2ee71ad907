"""Run a Serve config on a cluster of one node, as ``serve run`` does, until stdin is closed.

The port of Ray's metrics is written to the file ``metrics_port`` of the cluster's folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ray
from ray import serve
from ray.serve.scripts import cli


def main(config: str, folder: str) -> None:
    ray.init(
        num_cpus=8,
        include_dashboard=False,
        object_store_memory=100 << 20,
        _node_ip_address="127.0.0.1",
        _temp_dir=folder,
    )
    Path(folder, "metrics_port").write_text(str(ray.nodes()[0]["MetricsExportPort"]))
    cli(["run", "--non-blocking", config], standalone_mode=False)
    sys.stdin.read()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
