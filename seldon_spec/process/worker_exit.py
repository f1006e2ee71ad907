"""The end of a worker process: what Python does when a program ends, but within a time limit."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from seldon_spec.errors import Stopped
from seldon_spec.observability.logs import flush_streams
from seldon_spec.process.signals import STOPPING

logger = logging.getLogger(__name__)

_CALL_SECONDS = 0.2
"""How long the model may finish a call for which no client waits any more."""
_INTERRUPTED_SECONDS = 1.0
_THREADS_SECONDS = 5.0
_LEAST_SECONDS = 1.0


class WorkerExit:
    """Ends a worker process whose main thread runs the user's code.

    Attributes:
        interrupts: whether SIGTERM and SIGINT interrupt that code: true until the model is loaded.
        forward: gets the number of each signal that the main thread handles.
    """

    def __init__(self) -> None:
        self.forward: Callable[[int], object] = _ignore
        self.interrupts = True
        self._has_left_model = threading.Event()
        self._has_joined_threads = threading.Event()

    def on_signal(self, number: int) -> None:
        """Handle a signal on the main thread, in the middle of the user's code.

        Raises:
            Stopped: the code is interrupted; its ``finally`` blocks run.
        """
        self.forward(number)
        if self.interrupts and number in STOPPING:
            raise Stopped("the worker ends")

    def leave_model(self) -> None:
        """The main thread has left the user's code for good."""
        self._has_left_model.set()

    def limit(self, seconds: float, code: int) -> None:
        """End the process with ``code``, at the latest after about this time."""
        deadline = time.monotonic() + max(seconds, _LEAST_SECONDS)
        threading.Thread(target=self._watch, args=(deadline, code), name="seldon-spec-exit", daemon=True).start()

    def run(self, code: int) -> NoReturn:
        """End the process as Python does: join its threads, then call the ``atexit`` handlers.

        Not by unwinding the stack: the frames below belong to the supervisor, from which this process was forked.
        """
        gc.collect()  # the user's object is no longer referenced: its __del__ and suspended generators run
        threading._shutdown()  # type: ignore[attr-defined]
        self._has_joined_threads.set()
        atexit._run_exitfuncs()
        _end(code)

    def _watch(self, deadline: float, code: int) -> None:
        if not self._has_left_model.wait(_CALL_SECONDS):
            self.interrupts = True
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGTERM)
            if not self._has_left_model.wait(_INTERRUPTED_SECONDS):
                logger.error("the model does not return from a call: the process ends without waiting for it")
                _end(code)
        if not self._has_joined_threads.wait(min(_THREADS_SECONDS, max(0.0, deadline - time.monotonic()))):
            names = [t.name for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
            left = f"threads of the class: {', '.join(names)}" if names else "tasks of the class on the event loop"
            logger.error("the process ends without waiting for %s", left)
            atexit._run_exitfuncs()
            _end(code)
        time.sleep(max(0.0, deadline - time.monotonic()))
        logger.error("atexit handlers of the class take too long: the process ends without waiting for them")
        _end(code)


def _ignore(_number: int) -> None:
    """What is done with a signal before the event loop runs."""


def _end(code: int) -> NoReturn:
    flush_streams()
    os._exit(code)
