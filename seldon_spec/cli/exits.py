"""How a command ends: one table of what went wrong and the exit code that tells it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from seldon_spec import __version__
from seldon_spec.errors import BindFailed, ComponentFailed, Diagnostic, OriginKind, SeldonSpecError, SpecError
from seldon_spec.spec.model import SPEC_FILE

FINE = 0
USERS_FAULT = 1
WRONG_USAGE = 2
OUR_FAULT = 3
INTERRUPTED = 130

_LINGER_SECONDS = 1.0

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
        return USERS_FAULT
    except ComponentFailed as error:
        _tell_users_exception(error)
        return USERS_FAULT
    except BindFailed as error:
        for failure in (error, *error.others):
            _say(f"error: {failure}{'' if failure.origin.kind is OriginKind.DEFAULT else f' (from {failure.origin})'}")
            flag = port_flags.get(failure.key, f"--set {failure.key}=PORT")
            _say(f"     = help: stop the process that uses it, or choose another: {flag}, {failure.key} in {SPEC_FILE}")
        return USERS_FAULT
    except SeldonSpecError as error:
        _say(f"error: {error}")
        return USERS_FAULT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away, e.g. "| head": not an error; stdout must not be flushed again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except Exception:
        import traceback

        _say(traceback.format_exc().rstrip())
        _say(f"This is a fault of seldon-spec {__version__} itself. Please report it with the lines above.")
        return OUR_FAULT
    return code if isinstance(code, int) else FINE


def leave(code: int) -> NoReturn:
    """End the process, even where the user's class has left behind a thread that does not end.

    Python waits for such a thread for ever, unless it is a daemon; here it is waited for a moment.
    """
    threading = sys.modules.get("threading")  # where nobody has imported it there are no threads
    if threading is not None and threading.active_count() > 1:
        watchdog = threading.Timer(_LINGER_SECONDS, _end, [code])
        watchdog.daemon = True
        watchdog.start()
    sys.exit(code)


def _end(code: int) -> None:
    _say("a thread of the class does not end: left behind")
    sys.stdout.flush()
    os._exit(code)


def tell(diagnostics: tuple[Diagnostic, ...], path: Path | None = None, *, is_summed_up: bool = True) -> None:
    """Print findings on stderr, in colour only on a terminal that wants it."""
    from seldon_spec.cli import report

    is_coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = _terminal_width() if sys.stderr.isatty() else 100
    page = report.render_text(diagnostics, width=width, is_coloured=is_coloured)
    if is_summed_up:
        page += report.summarise(diagnostics, _file_name(path)) + "\n"
    sys.stderr.write(page)


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _file_name(path: Path | None) -> str:
    return str(path / SPEC_FILE if path is not None and path.is_dir() else path or SPEC_FILE)


def _tell_users_exception(error: ComponentFailed) -> None:
    """The user's own traceback, which begins in the user's code."""
    cause = error.__cause__
    if cause is None and error.trace is None:
        _say(f"error: {error}")
        return
    import traceback

    _say(error.trace or "".join(traceback.format_exception(cause)).rstrip())
    _say("error: the class raised this exception; see the last lines above")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
