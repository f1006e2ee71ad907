"""Forwards requests to TensorFlow Serving, over its REST API or its gRPC API."""

import json
import urllib.error
import urllib.request

import grpc
import numpy as np
from tf_messages import PREDICT, PredictRequest, PredictResponse, read_tensor, write_tensor

from seldon_spec import SeldonMicroserviceException


class TfServingProxy:
    """A model in another server; the parameters are those of Seldon's TensorFlow proxy.

    Args:
        rest_endpoint: for example ``http://localhost:8501``.
        grpc_endpoint: for example ``localhost:8500``; if set, gRPC is used.
        model_name: name of the model in TensorFlow Serving.
        signature_name: of the model.
        model_input: the name of its input; over REST a model with one input needs none.
        model_output: the name of its output; over REST a model with one output needs none.
        timeout_seconds: timeout of a request.
    """

    def __init__(
        self,
        rest_endpoint: str | None = None,
        grpc_endpoint: str | None = None,
        model_name: str | None = None,
        signature_name: str = "serving_default",
        model_input: str | None = None,
        model_output: str | None = None,
        timeout_seconds: float = 30.0,
    ):
        if not (rest_endpoint or grpc_endpoint):
            raise ValueError("set rest_endpoint or grpc_endpoint")
        if grpc_endpoint and not (model_input and model_output):
            raise ValueError("over gRPC, model_input and model_output are needed")
        self.rest_endpoint, self.grpc_endpoint = rest_endpoint, grpc_endpoint
        self.model_name, self.signature_name = model_name, signature_name
        self.model_input, self.model_output = model_input, model_output
        self.timeout_seconds = timeout_seconds

    def load(self):
        if self.grpc_endpoint:
            self.call = grpc.insecure_channel(self.grpc_endpoint).unary_unary(
                PREDICT,
                request_serializer=PredictRequest.SerializeToString,
                response_deserializer=PredictResponse.FromString,
            )

    def predict(self, X, names):
        return self.predict_grpc_api(X) if self.grpc_endpoint else self.predict_rest_api(X)

    def predict_grpc_api(self, X):
        request = PredictRequest()
        request.model_spec.name = self.model_name
        request.model_spec.signature_name = self.signature_name
        write_tensor(np.asarray(X), request.inputs.add(key=self.model_input).value)
        try:
            response = self.call(request, timeout=self.timeout_seconds)
        except grpc.RpcError as error:
            raise unavailable(error.details()) from error
        outputs = {output.key: output.value for output in response.outputs}
        return read_tensor(find_output(outputs, self.model_output))

    def predict_rest_api(self, X):
        rows = np.asarray(X).tolist()
        body = {"inputs": {self.model_input: rows}} if self.model_input else {"instances": rows}
        response = self.post(json.dumps({"signature_name": self.signature_name, **body}).encode())
        outputs = response["outputs" if self.model_input else "predictions"]
        # A model with one output returns only its value.
        return np.asarray(find_output(outputs, self.model_output) if isinstance(outputs, dict) else outputs)

    def post(self, body):
        url = f"{self.rest_endpoint.rstrip('/')}/v1/models/{self.model_name}:predict"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_seconds) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise unavailable(json.load(error).get("error", str(error))) from error
        except OSError as error:
            raise unavailable(str(error)) from error


def find_output(outputs, name):
    if name not in outputs:
        raise unavailable(f"the model has no output {name!r} but {sorted(outputs)}")
    return outputs[name]


def unavailable(reason):
    return SeldonMicroserviceException(f"TensorFlow Serving: {reason}", status_code=502, reason="UPSTREAM_FAILED")
