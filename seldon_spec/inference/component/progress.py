"""The step that is in progress until a component is built, for the log and for readiness probes."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger(__name__)


class Progress:
    """The current step of one component's start; written by one thread, read by any."""

    def __init__(self) -> None:
        self._step: tuple[str, float] | None = None

    def begin(self, step: str) -> None:
        """Log and remember the start of a step, e.g. ``importing MyModel``."""
        logger.info("%s", step)
        self._step = step, time.monotonic()

    def describe(self) -> str:
        """Return e.g. ``the server is starting: importing MyModel for 3 s``."""
        if self._step is None:
            return "the server is starting"
        step, started = self._step
        return f"the server is starting: {step} for {time.monotonic() - started:.0f} s"
