"""A class with ``predict`` as a BentoML service, named by ``settings.json`` in its folder."""

import json
from importlib import import_module
from pathlib import Path

import bentoml
import numpy as np

SETTINGS = json.loads((Path(__file__).parent / "settings.json").read_text(encoding="utf-8"))


@bentoml.service(workers=SETTINGS["workers"], traffic={"timeout": 120})
class Service:
    """One method, which takes and gives an array."""

    def __init__(self):
        module, name = SETTINGS["class_name"].split(".")
        self.served = getattr(import_module(module), name)()

    @bentoml.api
    def predict(self, x: np.ndarray) -> np.ndarray:
        """Ask the class."""
        return self.served.predict(x)
