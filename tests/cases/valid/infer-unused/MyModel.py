class MyModel:
    def infer(self, X):
        return X

    def predict(self, X, names):
        return self.infer(X)
