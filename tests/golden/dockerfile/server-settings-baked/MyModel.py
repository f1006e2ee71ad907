class MyModel:
    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def transform_input(self, X, features_names=None):
        return X
