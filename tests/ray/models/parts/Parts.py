import os
from pathlib import Path
from typing import Any

CRASHES = -1
ASKS = 100
"""Added to the branch in the first column: the response has the processes and what they have learned."""

FIRST_ONLY = 0.25
"""A reward that only one process accepts."""


class Shift:
    """Adds a column; shows the variables and the working directory of its process."""

    class_names = ("branch", "x", "columns")

    def transform_input(self, X: Any, names: list[str]) -> Any:
        return [[*row, len(row)] for row in X.tolist()]

    def tags(self) -> dict[str, object]:
        return {"shared": os.environ["SHARED"], "own": os.environ["OWN"][:7], "folder": Path.cwd().name}

    def metrics(self) -> list[dict[str, object]]:
        return [{"type": "COUNTER", "key": "shifted", "value": 1}]


class Learning:
    """Adds up rewards."""

    name = ""

    def __init__(self) -> None:
        self.rewards = 0.0
        self.is_asked = False

    def send_feedback(
        self, features: Any, names: list[str], reward: float, truth: Any, routing: int | None = None
    ) -> None:
        if reward < 0:
            raise ValueError("a negative reward")
        if reward == FIRST_ONLY:
            Path(os.environ["GATE_FOLDER"], self.name).touch(exist_ok=False)
        else:
            self.rewards += reward

    def tags(self) -> dict[str, object]:
        return {self.name: [os.getpid(), self.rewards]} if self.is_asked else {}


class Learner(Learning):
    """Chooses the branch in the first column."""

    name = "learner"

    def route(self, X: Any, names: list[str]) -> int:
        self.is_asked = X[0][0] >= ASKS
        return int(X[0][0]) % ASKS


class Counter(Learning):
    name = "counter"

    def predict(self, X: Any, names: list[str]) -> Any:
        self.is_asked = X[0][0] >= ASKS
        return X


class Most:
    class_names = ("branch", "x", "columns")

    def aggregate(self, features: list[Any], names: list[list[str]]) -> Any:
        return max(features, key=lambda rows: rows[0][1])


class Half:
    def predict(self, X: Any, names: list[str]) -> Any:
        return X / 2


class Square:
    def predict(self, X: Any, names: list[str]) -> Any:
        return X**2


class Failing:
    def predict(self, X: Any, names: list[str]) -> Any:
        if X[0][1] == CRASHES:
            os._exit(1)
        raise ValueError(f"no model for {X[0][1]}")


class Slow:
    """Returns once a pipe has been written to."""

    def predict(self, X: Any, names: list[str]) -> Any:
        Path(os.environ["GATE_FOLDER"], "slow").read_text()
        return X
