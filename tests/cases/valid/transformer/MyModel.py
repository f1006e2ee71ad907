class MyModel:
    def transform_output(self, X, names):
        return X
