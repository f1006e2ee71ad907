import logging
from typing import Any

logger = logging.getLogger("measured")


class Measured:
    """Logs and prints each request; has metrics of all types, and metrics that Ray cannot export as they are."""

    def predict(self, X: Any, names: list[str]) -> Any:
        logger.info("a line of the class")
        print("a printed line")  # noqa: T201 - printed lines have the IDs of requests, too
        return X

    def metrics(self) -> list[dict[str, Any]]:
        return [
            {"type": "COUNTER", "key": "measured_calls", "value": 2.5, "tags": {"city": 'K\xf6ln "Deutz"'}},
            {"type": "COUNTER", "key": "measured_calls", "value": 1, "tags": {"region": "north"}},
            {"type": "GAUGE", "key": "measured_level", "value": -1.5, "tags": {"city": "Bonn", "Version": "2"}},
            {"type": "GAUGE", "key": "measured_level", "value": 7},
            {"type": "TIMER", "key": "measured_step", "value": 30, "tags": {"step": "one"}},
            {"type": "GAUGE", "key": "measured:colon", "value": 1},
            {"type": "COUNTER", "key": "measured_twice", "value": 1},
            {"type": "GAUGE", "key": "measured_twice", "value": 1},
        ]
