"""A small server with TensorFlow Serving's REST and gRPC APIs, to try the proxy without TensorFlow.

It has one model, ``half_plus_two``, with the input ``x`` and the output ``y``. It prints the variables that
connect the proxy to it, and exits at the end of its input.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
from tf_messages import PREDICT, PredictRequest, PredictResponse, read_tensor, write_tensor

MODEL = "half_plus_two"


def half_plus_two(x):
    return np.asarray(x, dtype=np.float32) * 0.5 + 2


class Rest(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != f"/v1/models/{MODEL}:predict":
            self.respond(404, {"error": f"Could not find any versions of model at {self.path}"})
        elif "instances" in body:
            self.respond(200, {"predictions": half_plus_two(body["instances"]).tolist()})
        else:
            self.respond(200, {"outputs": half_plus_two(body["inputs"]["x"]).tolist()})

    def respond(self, status, tree):
        body = json.dumps(tree).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def predict(request, context):
    if request.model_spec.name != MODEL:
        context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request.model_spec.name}")
    response = PredictResponse()
    (x,) = (read_tensor(tensor.value) for tensor in request.inputs if tensor.key == "x")
    write_tensor(half_plus_two(x), response.outputs.add(key="y").value)
    return response


def main():
    rest = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    server = grpc.server(ThreadPoolExecutor(2))
    _, service, method = PREDICT.split("/")
    handler = grpc.unary_unary_rpc_method_handler(
        predict,
        request_deserializer=PredictRequest.FromString,
        response_serializer=PredictResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    places = {"REST_ENDPOINT": f"http://127.0.0.1:{rest.server_port}", "GRPC_ENDPOINT": f"127.0.0.1:{port}"}
    print(json.dumps({f"SELDON_SPEC__PARAMETERS__{name}": place for name, place in places.items()}), flush=True)
    sys.stdin.read()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
