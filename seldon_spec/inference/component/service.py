"""The user's ``custom_service``: a thread of its own, which lasts as long as its process.

The original ran it in a forked copy of the process. A thread it is here, because there is one copy of the model, and
the service sees its state; because nothing has to be forked from a process with threads; and because it cannot outlive
the server. It is the one piece of the user's code that runs beside the model thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.component.hooks import call_user

logger = logging.getLogger(__name__)


def start_service(service: Callable[[], Any]) -> threading.Thread:
    """Start the service; if it returns or raises, the server goes on without it."""
    thread = threading.Thread(target=_run, args=(service,), name="seldon-spec-custom-service", daemon=True)
    thread.start()
    return thread


def _run(service: Callable[[], Any]) -> None:
    try:
        call_user(service)
    except ComponentFailed as failure:
        logger.error("custom_service: %s", failure, exc_info=failure.__cause__)
    else:
        logger.info("custom_service has returned")
