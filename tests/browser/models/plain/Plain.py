class Plain:
    """Doubles numbers."""

    def predict(self, X, names):
        return X * 2
