"""What a worker is at until its component is built, for the log and for whoever asks whether it is ready."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger(__name__)


class Progress:
    """The step that is under way, and since when; one thread makes the steps, and any may ask."""

    def __init__(self) -> None:
        self._step: tuple[str, float] | None = None

    def begin(self, step: str) -> None:
        """A step begins, e.g. ``importing MyModel``; the log tells."""
        logger.info("%s", step)
        self._step = step, time.monotonic()

    def describe(self) -> str:
        """E.g. ``the server is starting: importing MyModel for 3 s``."""
        if self._step is None:
            return "the server is starting"
        step, began = self._step
        return f"the server is starting: {step} for {time.monotonic() - began:.0f} s"
