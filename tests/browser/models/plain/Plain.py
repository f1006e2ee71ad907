from typing import Any


class Plain:
    """Doubles numbers."""

    def predict(self, X: Any, names: Any) -> Any:
        return X * 2
