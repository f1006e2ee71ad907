"""Train on random points with a fixed seed, and write the folder rings next to this file."""

from pathlib import Path

import keras
import numpy as np


def main():
    keras.utils.set_random_seed(0)
    points = np.random.default_rng(0).uniform(-2, 2, (2000, 2)).astype("float32")
    radius = np.hypot(*points.T)
    labels = ((radius > 0.5) & (radius < 1.5)).astype("float32")
    layers = [keras.Input((2,), name="points"), keras.layers.Dense(32, "tanh"), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential(layers)
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss="binary_crossentropy")
    model.fit(points, labels, batch_size=500, epochs=300, verbose=0)
    model.export(Path(__file__).with_name("rings"), verbose=False)


if __name__ == "__main__":
    main()
