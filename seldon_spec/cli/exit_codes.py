"""How a command ends: the exit code of each kind of error, and its report on stderr."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from seldon_spec import __version__, report
from seldon_spec.config.model import SPEC_FILE
from seldon_spec.errors import BindFailed, ComponentFailed, Diagnostic, OriginKind, SeldonSpecError, SpecError

if TYPE_CHECKING:
    from threading import Event

OK = 0
USER_ERROR = 1
WRONG_USAGE = 2
INTERNAL_ERROR = 3
INTERRUPTED = 130


class WrongArgument(SeldonSpecError):
    """An argument of the command line does not fit the spec.

    Args:
        message: what is wrong.
        help: what to do.
    """

    def __init__(self, message: str, help: str) -> None:  # noqa: A002
        super().__init__(f"{message}\n     = help: {help}")


_THREAD_WAIT_SECONDS = 5.0  # as for the threads of a worker
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def open_missing_streams() -> None:
    """Open /dev/null in place of each standard stream that the caller closed.

    Otherwise the next file or socket gets the number of the stream, and output of the class goes to it.
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


PORT_FLAGS: Mapping[str, str] = {"ports.http": "--port PORT"}


def run_command(command: Callable[[], object], port_flags: Mapping[str, str] = PORT_FLAGS) -> int:
    """Run a command and return its exit code; report an exception on stderr.

    Args:
        port_flags: the flags of the command line that set the keys of ports.
    """
    try:
        code = command()
    except SpecError as error:
        print_diagnostics(error.diagnostics)
        return USER_ERROR
    except ComponentFailed as error:
        _print_component_failure(error)
        return USER_ERROR
    except BindFailed as error:
        for failure in (error, *error.others):
            source = "" if failure.origin.kind is OriginKind.DEFAULT else f" (from {failure.origin})"
            flag = port_flags.get(failure.key, f"--set {failure.key}=PORT")
            remedy = f"stop the process that uses it, or choose another: {flag}, {failure.key} in {SPEC_FILE}"
            write_stderr(f"error: {failure}{source}\n     = help: {remedy}")
        return USER_ERROR
    except SeldonSpecError as error:
        write_stderr(f"error: {_name_component(error)}{error}")
        return WRONG_USAGE if isinstance(error, WrongArgument) else USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return OK  # the reader has closed the pipe, e.g. "| head"
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE:
            write_stderr(f"error: the output cannot be written: {error.strerror}")
            return USER_ERROR
        import traceback

        write_stderr(traceback.format_exc().rstrip())
        write_stderr(f"This is an internal error of seldon-spec {__version__}. Please report it with the lines above.")
        return INTERNAL_ERROR
    return code if isinstance(code, int) else OK


def exit_process(code: int) -> NoReturn:
    """End the process, even if a thread of the user's class does not end.

    Python waits without limit for a thread that is not a daemon; this function waits for a few seconds. The ``atexit``
    handlers run in any case.
    """
    for stream in (sys.stdout, sys.stderr):
        if not _flush(stream):  # else Python tries again, prints an error and exits with 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    threading = sys.modules.get("threading")  # if it is not imported there are no threads
    if threading is not None and threading.active_count() > 1:
        has_joined_threads = threading.Event()
        atexit.register(has_joined_threads.set)  # handlers run in reverse order
        watchdog = threading.Timer(_THREAD_WAIT_SECONDS, _force_exit, [code, has_joined_threads])
        watchdog.daemon = True
        watchdog.start()
    sys.exit(code)


def _force_exit(code: int, has_joined_threads: Event) -> None:
    if has_joined_threads.is_set():
        return
    write_stderr("a thread of the class did not end, exiting without it")
    atexit._run_exitfuncs()
    _flush(sys.stdout)
    os._exit(code)


def _flush(stream: TextIO) -> bool:
    """Flush a stream; return whether that succeeded."""
    try:
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def print_diagnostics(
    diagnostics: tuple[Diagnostic, ...], path: Path | None = None, *, with_summary: bool = True
) -> None:
    """Print diagnostics to stderr; in colour only on a terminal, and not if ``NO_COLOR`` is set."""
    is_coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = _terminal_width() if sys.stderr.isatty() else 100
    page = report.render_text(diagnostics, width=width, is_coloured=is_coloured)
    if with_summary:
        page += report.summarise(diagnostics, _file_name(path)) + "\n"
    write_stderr(page, end="")


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _file_name(path: Path | None) -> str:
    return str(path / SPEC_FILE if path is not None and path.is_dir() else path or SPEC_FILE)


def _print_component_failure(error: ComponentFailed) -> None:
    """Print the traceback of an exception in the user's code, without this package's frames."""
    cause = error.__cause__
    if cause is None and error.trace is None:
        write_stderr(f"error: {_name_component(error)}{error}")
        return
    import traceback

    write_stderr(error.trace or "".join(traceback.format_exception(cause)).rstrip())
    write_stderr(f"error: {_name_component(error)}the class raised this exception; see the last lines above")


def _name_component(error: SeldonSpecError) -> str:
    """Return the start of a message about an error that a component of a graph raised."""
    return "" if error.component is None else f"component {error.component}: "


def write_stderr(text: str, end: str = "\n") -> None:
    """Write to stderr; errors are ignored, for there is no other place to report them."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text + end)
        sys.stderr.flush()
