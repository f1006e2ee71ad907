"""The exit of a worker process: the steps of Python's own exit, within a time limit."""

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
"""How long the model may take to finish a call whose client no longer waits."""
_INTERRUPTED_SECONDS = 1.0
_THREADS_SECONDS = 5.0
_MIN_SECONDS = 1.0


class WorkerExit:
    """Exits a worker process whose main thread runs the user's code.

    Attributes:
        interrupts: whether SIGTERM and SIGINT interrupt that code: true until the model is loaded.
        forward: is called with the number of each signal that the main thread handles.
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
            raise Stopped("the worker exits")

    def leave_model(self) -> None:
        """Record that the main thread does not run the user's code any more."""
        self._has_left_model.set()

    def limit(self, seconds: float, code: int) -> None:
        """Exit with ``code`` after about this time, if the process still runs."""
        deadline = time.monotonic() + max(seconds, _MIN_SECONDS)
        threading.Thread(target=self._watch, args=(deadline, code), name="seldon-spec-exit", daemon=True).start()

    def run(self, code: int) -> NoReturn:
        """Exit as Python does: join the threads, then call the ``atexit`` handlers.

        The stack is not unwound, because the frames below are the supervisor's, from which this process was forked.
        """
        gc.collect()  # the user's object is no longer referenced: run its __del__ and close its suspended generators
        threading._shutdown()  # type: ignore[attr-defined]
        self._has_joined_threads.set()
        atexit._run_exitfuncs()
        _exit_process(code)

    def _watch(self, deadline: float, code: int) -> None:
        if not self._has_left_model.wait(_CALL_SECONDS):
            self.interrupts = True
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGTERM)
            if not self._has_left_model.wait(_INTERRUPTED_SECONDS):
                logger.error("the model does not return from a call: exiting without waiting for it")
                _exit_process(code)
        if not self._has_joined_threads.wait(min(_THREADS_SECONDS, max(0.0, deadline - time.monotonic()))):
            names = [t.name for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
            left = f"threads of the class: {', '.join(names)}" if names else "tasks of the class on the event loop"
            logger.error("exiting without waiting for %s", left)
            atexit._run_exitfuncs()
            _exit_process(code)
        time.sleep(max(0.0, deadline - time.monotonic()))
        logger.error("the atexit handlers of the class take too long: exiting without waiting for them")
        _exit_process(code)


def _ignore(_number: int) -> None:
    """Ignore a signal: the event loop does not run."""


def _exit_process(code: int) -> NoReturn:
    flush_streams()
    os._exit(code)
