"""A class with ``predict`` as a runtime of MLServer."""

from importlib import import_module

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Runtime(MLModel):
    """Serves the class that ``parameters.extra.class_name`` of its settings names."""

    async def load(self) -> bool:
        """Make the object."""
        module, name = self.settings.parameters.extra["class_name"].split(".")
        self.served = getattr(import_module(module), name)()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """One input to one output."""
        response = self.served.predict(NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", response)])
