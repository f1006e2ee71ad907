from typing import Any

import numpy as np


class Same:
    def predict(self, X: Any, names: Any) -> Any:
        return X


class Mean:
    def aggregate(self, features: Any, names: Any) -> Any:
        return np.mean(features, axis=0)
