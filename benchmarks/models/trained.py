"""Models of scikit-learn, of which a call costs far more than a row."""

import io

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

_SEED = 20


class _Trained:
    """What has learnt three classes from 300 rows of four columns."""

    def __init__(self, model):
        generator = np.random.default_rng(_SEED)
        rows = generator.standard_normal((300, 4))
        noise = generator.normal(scale=0.5, size=300)
        self.model = model.fit(rows, np.digitize(rows.sum(axis=1) + noise, (-1.0, 1.0)))

    def predict(self, x, names=None):  # noqa: ARG002
        """Shape (rows, 4) to the classes' probabilities, shape (rows, 3)."""
        return self.model.predict_proba(x)

    def save(self):
        """Return the bytes of its model file."""
        file = io.BytesIO()
        joblib.dump(self.model, file)
        return file.getvalue()


class Logistic(_Trained):
    """A logistic regression: a fraction of a millisecond."""

    def __init__(self):
        super().__init__(LogisticRegression())


class Forest(_Trained):
    """A hundred trees, one after the other: milliseconds."""

    def __init__(self):
        super().__init__(RandomForestClassifier(100, n_jobs=1, random_state=_SEED))
