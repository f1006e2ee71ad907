"""A model that recommends one thing."""


class Offer:
    """Returns the same offer for every customer."""

    def __init__(self, what: str):
        self.what = what

    def predict(self, X, names):
        return [[self.what] for _ in X]

    class_names = ("offer",)
