class Picture:
    """Returns the picture."""

    def predict(self, X, names):
        return X
