"""Exceptions of the user's code, with the traceback that the user knows."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.component import forks

_PACKAGE = str(Path(__file__).resolve().parents[2])
_IMPORT_HOOK = str(Path(__file__).with_name("folder_modules.py"))
"""Its frames may be between two frames of the user's code."""


@contextmanager
def user_code() -> Generator[None, None, None]:
    """Turn what the user's code raises, SystemExit included, into ComponentFailed.

    Raises:
        ComponentFailed: the exception is its ``__cause__``; the traceback begins in the user's code.
    """
    try:
        yield
    except BaseException as error:
        if forks.is_child:
            forks.end_child(without_own_frames(error))
        raise ComponentFailed(str(error)) from without_own_frames(error)


def without_own_frames(error: BaseException) -> BaseException:
    """Return an exception with its traceback cut to where the user's code begins."""
    return error.with_traceback(_skip_own_frames(error.__traceback__))


def _skip_own_frames(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and _is_own(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    frame = trace
    while frame is not None:
        while frame.tb_next is not None and frame.tb_next.tb_frame.f_code.co_filename == _IMPORT_HOOK:
            frame.tb_next = frame.tb_next.tb_next
        frame = frame.tb_next
    return trace


def _is_own(file: str) -> bool:
    return file.startswith((_PACKAGE, "<frozen importlib")) or "/importlib/" in file.replace("\\", "/")


def is_named(error: BaseException | object, name: str) -> bool:
    """Return whether an object's class, or one of its bases, has this name.

    The classes of ``seldon_core`` are recognised by name, so that its package need not be installed (contract
    section 11, point 8).
    """
    cls: Any = type(error)
    return name in _names_of(cls)


@lru_cache(maxsize=256)
def _names_of(cls: type) -> frozenset[str]:
    return frozenset(base.__name__ for base in cls.__mro__)
