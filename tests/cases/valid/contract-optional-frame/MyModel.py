import pandas as pd


class MyModel:
    def predict(self, X: pd.DataFrame | None, names=None):
        return X
