from seldon_core.user_model import SeldonComponent


class MyModel(SeldonComponent):
    def predict(self, X, names, meta=None):
        return X
