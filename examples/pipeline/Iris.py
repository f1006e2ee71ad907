"""The classifier that train.py wrote."""

from pathlib import Path

import joblib


class Iris:
    """Returns the probability of each species of iris for four sizes in centimetres."""

    def __init__(self):
        self.classifier = joblib.load(Path(__file__).with_name("iris.joblib"))

    def predict(self, X, names):
        return self.classifier.predict_proba(X)

    def tags(self):
        return {"classifier": type(self.classifier).__name__}
