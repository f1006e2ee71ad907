"""A class with ``predict`` under the ModelServer of KServe's SDK: ``kserve_app.py MODULE.CLASS OPTION...``."""

import sys
from importlib import import_module

import kserve


class Served(kserve.Model):
    """The class of the first argument, as the model ``model``."""

    def __init__(self):
        super().__init__("model")
        module, name = sys.argv.pop(1).split(".")
        self.served = getattr(import_module(module), name)()
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):  # noqa: ARG002
        """One input to one output, binary if the request asks for it."""
        result = self.served.predict(payload.inputs[0].as_numpy())
        output = kserve.InferOutput("y", list(result.shape), "FP64")
        output.set_data_from_numpy(result, binary_data=payload.use_binary_outputs)
        return kserve.InferResponse(
            response_id=payload.id or "",
            model_name=self.name,
            infer_outputs=[output],
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


if __name__ == "__main__":
    model = Served()
    kserve.ModelServer(workers=1).start([model])
