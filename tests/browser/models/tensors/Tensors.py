import numpy as np


class Tensors:
    """Returns sums and the caption."""

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        total = float(np.asarray(inputs["pixels"], float).sum())
        sums = np.array([[float(np.asarray(inputs["matrix"], float).sum()), total]])
        return {"sums": sums, "text": np.asarray(inputs["caption"], object)}
