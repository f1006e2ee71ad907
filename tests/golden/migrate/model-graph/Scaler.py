class Scaler:
    def transform_input(self, X, names):
        return X / 2
