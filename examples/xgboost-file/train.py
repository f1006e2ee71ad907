"""Train on random points with a fixed seed and write rings.ubj next to this file."""

from pathlib import Path

import numpy as np
import xgboost


def main():
    points = np.random.default_rng(0).uniform(-2, 2, (2000, 2))
    radius = np.hypot(*points.T)
    data = xgboost.DMatrix(points, label=(radius > 0.5) & (radius < 1.5))
    parameters = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.5, "nthread": 1, "seed": 0}
    xgboost.train(parameters, data, num_boost_round=30).save_model(Path(__file__).with_name("rings.ubj"))


if __name__ == "__main__":
    main()
