class Other:
    def predict(self, X, names):
        return X
