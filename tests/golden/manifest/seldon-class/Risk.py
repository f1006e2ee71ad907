class Risk:
    def __init__(self, threshold, labels, rounds=1, is_strict=False, api_key=None):
        self.threshold, self.labels = threshold, labels

    def predict(self, X, names):
        return X > self.threshold
