"""How a command ends: one table of what went wrong and the exit code that tells it."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from seldon_spec import __version__
from seldon_spec.config.model import SPEC_FILE
from seldon_spec.errors import BindFailed, ComponentFailed, Diagnostic, OriginKind, SeldonSpecError, SpecError

if TYPE_CHECKING:
    from threading import Event

OK = 0
USER_ERROR = 1
WRONG_USAGE = 2
OUR_FAULT = 3
INTERRUPTED = 130

_LINGER_SECONDS = 5.0  # as for a worker's threads
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def open_missing_streams() -> None:
    """Open /dev/null in place of each standard stream that the caller closed.

    Otherwise the next file or socket gets its number, and what the class prints goes there.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if not _is_open(number):
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - the library's own signature
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


OUR_PORT_FLAGS: Mapping[str, str] = {"ports.http": "--port PORT"}


def guard(command: Callable[[], object], port_flags: Mapping[str, str] = OUR_PORT_FLAGS) -> int:
    """Run a command; an exception becomes its page on stderr and its exit code.

    Args:
        port_flags: the command line's flags for the keys of ports.
    """
    try:
        code = command()
    except SpecError as error:
        tell(error.diagnostics)
        return USER_ERROR
    except ComponentFailed as error:
        _tell_users_exception(error)
        return USER_ERROR
    except BindFailed as error:
        for failure in (error, *error.others):
            say(f"error: {failure}{'' if failure.origin.kind is OriginKind.DEFAULT else f' (from {failure.origin})'}")
            flag = port_flags.get(failure.key, f"--set {failure.key}=PORT")
            say(f"     = help: stop the process that uses it, or choose another: {flag}, {failure.key} in {SPEC_FILE}")
        return USER_ERROR
    except SeldonSpecError as error:
        say(f"error: {error}")
        return USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return OK  # the reader went away, e.g. "| head"
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE:
            say(f"error: the output cannot be written: {error.strerror}")
            return USER_ERROR
        import traceback

        say(traceback.format_exc().rstrip())
        say(f"This is a fault of seldon-spec {__version__} itself. Please report it with the lines above.")
        return OUR_FAULT
    return code if isinstance(code, int) else OK


def leave(code: int) -> NoReturn:
    """End the process, even where the user's class has left behind a thread that does not end.

    Python waits for such a thread for ever, unless it is a daemon; here it is waited for a moment. The ``atexit``
    handlers are called in any case.
    """
    for stream in (sys.stdout, sys.stderr):
        if not _flush(stream):  # else Python tries it again, complains, and ends with the code 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    threading = sys.modules.get("threading")  # where nobody has imported it there are no threads
    if threading is not None and threading.active_count() > 1:
        has_joined_threads = threading.Event()
        atexit.register(has_joined_threads.set)  # the last one is called first
        watchdog = threading.Timer(_LINGER_SECONDS, _end, [code, has_joined_threads])
        watchdog.daemon = True
        watchdog.start()
    sys.exit(code)


def _end(code: int, has_joined_threads: Event) -> None:
    if has_joined_threads.is_set():
        return
    say("a thread of the class does not end: left behind")
    atexit._run_exitfuncs()
    _flush(sys.stdout)
    os._exit(code)


def _flush(stream: TextIO) -> bool:
    """Flush a stream; returns whether that is possible."""
    try:
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def tell(diagnostics: tuple[Diagnostic, ...], path: Path | None = None, *, is_summed_up: bool = True) -> None:
    """Print findings on stderr, in colour only on a terminal that wants it."""
    from seldon_spec.cli import report

    is_coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = _terminal_width() if sys.stderr.isatty() else 100
    page = report.render_text(diagnostics, width=width, is_coloured=is_coloured)
    if is_summed_up:
        page += report.summarise(diagnostics, _file_name(path)) + "\n"
    say(page, end="")


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _file_name(path: Path | None) -> str:
    return str(path / SPEC_FILE if path is not None and path.is_dir() else path or SPEC_FILE)


def _tell_users_exception(error: ComponentFailed) -> None:
    """The user's own traceback, which begins in the user's code."""
    cause = error.__cause__
    if cause is None and error.trace is None:
        say(f"error: {error}")
        return
    import traceback

    say(error.trace or "".join(traceback.format_exception(cause)).rstrip())
    say("error: the class raised this exception; see the last lines above")


def say(text: str, end: str = "\n") -> None:
    """Write to stderr; if that fails, the text is lost: there is nowhere to report it."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text + end)
        sys.stderr.flush()
