import os
from pathlib import Path
from typing import Any


class Gate:
    """Reports each call to one pipe, and returns once the other has been written to."""

    def predict(self, X: Any, names: list[str]) -> Any:
        folder = Path(os.environ["GATE_FOLDER"])
        (folder / "called").write_text("called")
        (folder / "opened").read_text()
        return X
