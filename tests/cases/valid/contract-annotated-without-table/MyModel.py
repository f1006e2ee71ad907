import pandas as pd


class MyModel:
    def predict(self, X: pd.DataFrame, names=None):
        return X
