"""Processes that the user's code forks out of a model thread.

Such a child has a copy of the whole worker but must not respond to a request: it exits when the user's code returns.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

is_child = False
"""Whether this process is such a child."""

_is_watching = False


def watch() -> None:
    """Recognise the children forked from now on; a process that runs model threads itself is not one."""
    global is_child, _is_watching
    is_child = False
    if not _is_watching:
        _is_watching = True
        os.register_at_fork(after_in_child=_become_child)


def _become_child() -> None:
    global is_child
    is_child = True


def end_child(error: BaseException | None = None) -> NoReturn:
    """End such a child, with the exit code that Python gives a program that raised ``error``."""
    code = error.code if isinstance(error, SystemExit) else None if error is None else 1
    if isinstance(error, SystemExit) and code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    elif error is not None and not isinstance(error, SystemExit):
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)
