"""A small neural network of scikit-learn as an ONNX model."""

import numpy as np
import onnxruntime
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.neural_network import MLPRegressor

_SEED = 20


class Exported:
    """What has learnt the sum of four columns from 300 rows, with two layers of 64."""

    def __init__(self):
        rows = np.random.default_rng(_SEED).standard_normal((300, 4))
        network = MLPRegressor(hidden_layer_sizes=(64, 64), random_state=_SEED, max_iter=500).fit(
            rows, rows.sum(axis=1)
        )
        self.model = convert_sklearn(network, initial_types=[("x", DoubleTensorType([None, 4]))])
        self.session = onnxruntime.InferenceSession(self.save())

    def predict(self, x, names=None):  # noqa: ARG002
        """Shape (rows, 4) to the sums, shape (rows, 1)."""
        return self.session.run(None, {"x": x})[0]

    def save(self):
        """Return the bytes of its model file."""
        return self.model.SerializeToString()
