"""Train on random points with a fixed seed and write plane.txt next to this file."""

from pathlib import Path

import lightgbm
import numpy as np


def main():
    points = np.random.default_rng(0).uniform(-2, 2, (2000, 2))
    data = lightgbm.Dataset(points, label=points @ [3.0, 1.0], feature_name=["x", "y"])
    parameters = {"objective": "regression", "num_threads": 1, "seed": 0, "verbose": -1}
    lightgbm.train(parameters, data, num_boost_round=100).save_model(Path(__file__).with_name("plane.txt"))


if __name__ == "__main__":
    main()
