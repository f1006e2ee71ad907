class MyModel:
    def __init__(self, api_token=None):
        pass

    def predict(self, X, names):
        return X
