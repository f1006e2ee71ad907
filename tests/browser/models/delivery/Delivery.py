import numpy as np

KM_PER_HOUR = {"bicycle": 15.0, "van": 30.0}


class Delivery:
    """Estimates how long deliveries take."""

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        speed = np.array([KM_PER_HOUR[name] for name in inputs["vehicle"]])
        minutes = 60 * np.asarray(inputs["distance_km"], float) / speed
        if "stops" in inputs:
            minutes = minutes + 3 * np.asarray(inputs["stops"], float).reshape(-1)
        risk = np.where(np.asarray(inputs["is_fragile"], bool), 0.75, 0.25)
        labels = np.array(
            [f"{name}: {note}" for name, note in zip(inputs["vehicle"], inputs["note"], strict=True)], object
        )
        return {"minutes": minutes, "risk": risk, "label": labels}
