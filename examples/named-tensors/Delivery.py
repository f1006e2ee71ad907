"""Inputs and outputs with names and types of their own."""

import numpy as np

KM_PER_HOUR = {"bicycle": 15.0, "van": 30.0}


class Delivery:
    """Estimates how long deliveries take, and which of them miss their promise."""

    def __init__(self, minutes_per_stop: float = 3.0):
        self.minutes_per_stop = minutes_per_stop

    def infer(self, inputs: dict[str, np.ndarray], parameters: dict | None = None) -> dict[str, np.ndarray]:
        """Return the minutes of each delivery, and whether they exceed the parameter ``promised_minutes``."""
        speed = np.array([KM_PER_HOUR[name] for name in inputs["vehicle"]])
        minutes = 60 * inputs["distance_km"] / speed
        if "stops" in inputs:  # a mask hides the stops of deliveries for which the client knows none
            minutes = minutes + np.ma.filled(inputs["stops"], 0) * self.minutes_per_stop
        return {"minutes": minutes, "is_late": minutes > (parameters or {}).get("promised_minutes", 30)}
