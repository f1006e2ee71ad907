"""One of the classifiers that train.py wrote."""

from pathlib import Path

import joblib


class Wine:
    """Classifies three kinds of wine by thirteen chemical measurements.

    Args:
        model_file: a file that ``train.py`` wrote, next to this one.
    """

    def __init__(self, model_file: str):
        self.classifier = joblib.load(Path(__file__).with_name(model_file))

    def predict(self, X, names):
        return self.classifier.predict_proba(X)
