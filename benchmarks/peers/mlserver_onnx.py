"""A model file of ONNX as a runtime of MLServer, which has none of its own for this format."""

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri


class Runtime(MLModel):
    """Serves the model with one input and one output that ``parameters.uri`` of its settings names."""

    async def load(self) -> bool:
        """Load the model, with one thread."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(await get_model_uri(self.settings), options)
        self.input = self.session.get_inputs()[0].name
        self.output = self.session.get_outputs()[0].name
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """One input to one output."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        (response,) = self.session.run([self.output], {self.input: rows})
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output(self.output, response)])
