"""The signals of a serving process reach it at any moment."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading

from seldon_spec.server.signals import ServerSignals


def test_a_signal_is_written_as_it_comes_and_not_when_python_comes_to_it() -> None:
    """Else one that comes just before the supervisor goes to sleep would not wake it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    is_through = threading.Event()
    main = threading.get_ident()
    seen: list[tuple[bytes, bool]] = []

    def compute() -> None:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 3_000_000)  # seconds in which this thread runs no Python

    def send() -> None:
        while sys._current_frames()[main].f_code is not compute.__code__:
            pass
        os.kill(os.getpid(), signal.SIGHUP)
        seen.append((os.read(reading, 1), is_through.is_set()))

    with ServerSignals() as signals:
        signals.write_to(writing)
        sender = threading.Thread(target=send)
        sender.start()
        compute()
        is_through.set()
        sender.join()
        signals.write_no_more()
    os.close(reading)
    os.close(writing)
    assert seen == [(bytes([signal.SIGHUP]), False)]
