"""Converts probabilities to a label."""


class Labels:
    """Returns the name of the most probable class.

    Args:
        names: one for each column of the probabilities.
    """

    def __init__(self, names: list):
        self.names = names

    def transform_output(self, X, names):
        return [[self.names[index]] for index in X.argmax(axis=1)]

    class_names = ("label",)
