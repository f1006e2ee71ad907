"""Custom metrics and tags."""

from seldon_spec import SeldonResponse


class Counting:
    """Sums the columns, and reports metrics and tags.

    Args:
        model_version: a tag of every response.
    """

    def __init__(self, model_version: str):
        self.model_version = model_version
        self.calls = 0

    def predict(self, X, names):
        self.calls += 1
        negative = int((X < 0).sum())
        # Tags and metrics of this request only are part of its result.
        return SeldonResponse(
            data=X.sum(axis=1, keepdims=True),
            tags={"has_negative": negative > 0},
            metrics=[{"key": "negative_values", "type": "COUNTER", "value": negative}],
        )

    def tags(self):
        """Return the tags of every response."""
        return {"model_version": self.model_version}

    def metrics(self):
        """Return metrics after every call: a counter is added to, a gauge is set, a timer takes milliseconds."""
        return [
            {"key": "calls", "type": "GAUGE", "value": self.calls},
            {"key": "work", "type": "TIMER", "value": 20, "tags": {"step": "sum"}},
        ]

    def class_names(self):
        return ["sum"]
