class MyModel:
    def predict(self, X, names):
        return X
