class MyModel:
    def predit(self, X, names):
        return X
