class Scaler:
    def transform_input(self, X, names):
        return X / 100


class Small:
    def predict(self, X, names):
        return X
