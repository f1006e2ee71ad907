class Hostile:
    """Returns the sum of each row."""

    def predict(self, X, names):
        return X.sum(axis=1, keepdims=True)
