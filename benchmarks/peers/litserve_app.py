"""A class with ``predict`` under LitServe: ``litserve_app.py MODULE.CLASS PORT WORKERS``."""

import sys
from importlib import import_module

import litserve
import numpy as np


class Api(litserve.LitAPI):
    """JSON with ``input`` to JSON with ``output``."""

    def setup(self, device):  # noqa: ARG002
        """Make the object."""
        module, name = sys.argv[1].split(".")
        self.served = getattr(import_module(module), name)()

    def decode_request(self, request):
        """Nested lists to an array."""
        return np.array(request["input"])

    def predict(self, x):
        """Ask the class."""
        return self.served.predict(x)

    def encode_response(self, output):
        """An array to nested lists."""
        return {"output": output.tolist()}


if __name__ == "__main__":
    workers = int(sys.argv[3])
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=workers)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[2]),
        num_api_servers=workers,
        generate_client_file=False,
        log_level="warning",
    )
