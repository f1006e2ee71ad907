"""Converts the probabilities of a model to labels."""


class Labels:
    """Returns the label of the most probable class of each row.

    Args:
        labels: one for each column of the probabilities.
        at_least: below this probability the label is ``unsure``.
    """

    def __init__(self, labels: list, at_least: float = 0.5):
        self.labels = labels
        self.at_least = at_least

    def transform_output(self, X, names):
        return [[self.labels[row.argmax()] if row.max() >= self.at_least else "unsure"] for row in X]

    def class_names(self):
        return ["label"]
