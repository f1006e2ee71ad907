class A:
    def predict(self, X, names):
        return X
