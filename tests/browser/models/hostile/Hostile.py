from typing import Any


class Hostile:
    """Returns the sum of each row."""

    def predict(self, X: Any, names: Any) -> Any:
        return X.sum(axis=1, keepdims=True)
