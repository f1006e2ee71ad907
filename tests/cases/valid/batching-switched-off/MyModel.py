class MyModel:
    def predict(self, X, **kwargs):
        return X
