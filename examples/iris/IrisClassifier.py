"""A scikit-learn classifier."""

from pathlib import Path

import joblib
import numpy as np


class IrisClassifier:
    """Classifies three species of iris by the sizes of sepal and petal, in centimetres."""

    def __init__(self, model_file="iris.joblib", digits=4):
        """Load the model that train.py wrote; ``digits`` rounds the probabilities."""
        trained = joblib.load(Path(__file__).with_name(model_file))
        self.classifier, self.class_names = trained["classifier"], trained["class_names"]
        self.digits = digits

    def predict(self, X, features_names=None):
        """Return the probability of each species for each row of four sizes."""
        return np.round(self.classifier.predict_proba(np.asarray(X, dtype=float)), self.digits)

    def tags(self):
        """Return the name of the classifier, for each response."""
        return {"classifier": type(self.classifier).__name__}
