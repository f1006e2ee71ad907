"""A class with ``predict`` in Triton's Python backend."""

import json
from importlib import import_module

import triton_python_backend_utils as backend


class TritonPythonModel:
    """Serves the class that the parameter ``class_name`` of the model's configuration names."""

    def initialize(self, args):
        """Make the object."""
        parameters = json.loads(args["model_config"])["parameters"]
        module, name = parameters["class_name"]["string_value"].split(".")
        self.served = getattr(import_module(module), name)()

    def execute(self, requests):
        """One input to one output, for each request."""
        return [self.respond(backend.get_input_tensor_by_name(request, "x").as_numpy()) for request in requests]

    def respond(self, array):
        """Ask the class."""
        return backend.InferenceResponse([backend.Tensor("y", self.served.predict(array))])
