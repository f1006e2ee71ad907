from typing import Any


class Picture:
    """Returns the picture."""

    def predict(self, X: Any, names: Any) -> Any:
        return X
