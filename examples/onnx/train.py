"""Train on random points with a fixed seed, and write rings.onnx next to this file."""

from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures


def main():
    points = np.random.default_rng(0).uniform(-2, 2, (2000, 2))
    radius = np.hypot(*points.T)
    labels = np.where((radius > 0.5) & (radius < 1.5), "inside", "outside")
    model = make_pipeline(PolynomialFeatures(4), LogisticRegression(max_iter=5000)).fit(points, labels)
    exported = to_onnx(model, initial_types=[("points", FloatTensorType([None, 2]))])
    Path(__file__).with_name("rings.onnx").write_bytes(exported.SerializeToString())


if __name__ == "__main__":
    main()
