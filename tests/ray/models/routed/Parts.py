from typing import Any


class PlusOne:
    def transform_input(self, X: Any, names: list[str]) -> Any:
        return X + 1


class BySign:
    def __init__(self) -> None:
        self.rewards = 0.0

    def route(self, X: Any, names: list[str]) -> int:
        return 0 if X[0][0] < 0 else 1

    def send_feedback(
        self, features: Any, names: list[str], reward: float, truth: Any, routing: int | None = None
    ) -> None:
        self.rewards += reward

    def tags(self) -> dict[str, float]:
        return {"rewards": self.rewards}


class Half:
    def predict(self, X: Any, names: list[str]) -> Any:
        return X / 2


class Square:
    def predict(self, X: Any, names: list[str]) -> Any:
        return X**2
