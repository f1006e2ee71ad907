class Risk:
    def predict(self, X, names):
        return X
