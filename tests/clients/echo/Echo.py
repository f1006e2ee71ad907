"""A model that returns its inputs, for clients of the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

import numpy as np


class Echo:
    """Returns the inputs as the outputs."""

    def infer(self, inputs: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
        if "fail" in parameters:
            raise ValueError(f"failed: {parameters['fail']}")
        if parameters.get("show_parameters"):
            return {"parameters": np.array([repr(sorted(parameters.items()))], dtype=object)}
        return inputs
