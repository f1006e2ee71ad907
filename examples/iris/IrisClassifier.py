"""A scikit-learn classifier, served: the class is all that the model needs."""

from pathlib import Path

import joblib
import numpy as np


class IrisClassifier:
    """Tells three kinds of iris apart by the sizes of sepal and petal, in centimetres."""

    def __init__(self, model_file="iris.joblib", digits=4):
        """Load what train.py wrote; ``digits`` rounds the probabilities."""
        trained = joblib.load(Path(__file__).with_name(model_file))
        self.classifier, self.class_names = trained["classifier"], trained["class_names"]
        self.digits = digits

    def predict(self, X, features_names=None):
        """Give the probability of each kind for each row of four sizes."""
        return np.round(self.classifier.predict_proba(np.asarray(X, dtype=float)), self.digits)

    def tags(self):
        """Say with each answer what gave it."""
        return {"classifier": type(self.classifier).__name__}
