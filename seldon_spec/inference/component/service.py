"""The user's ``custom_service``, in its own daemon thread.

The original runs it in a forked copy of the process. A thread shares the one copy of the model, needs no fork of a
process with threads, and ends with the server. It is the only code of the user that runs beside the model threads.
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
    """Start the service; the server continues if it returns or raises."""
    thread = threading.Thread(target=_run, args=(service,), name="seldon-spec-custom-service", daemon=True)
    thread.start()
    return thread


def _run(service: Callable[[], Any]) -> None:
    try:
        call_user(service)
    except ComponentFailed as failure:
        logger.error("custom_service: %s", failure, exc_info=failure.__cause__)
    else:
        logger.info("custom_service returned")
