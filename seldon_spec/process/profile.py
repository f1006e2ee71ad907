"""A profile of the served requests, taken by py-spy: it looks into the workers from outside, at every thread.

A worker stands still for each look, or half of the stacks would be torn; that costs a busy one a tenth of its time.
Imports nothing heavy; py-spy is a program of its own, which the extra ``profile`` installs.
"""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from seldon_spec.errors import SeldonSpecError

logger = logging.getLogger(__name__)

_FORMATS = {".svg": "flamegraph", ".json": "speedscope"}
_SAMPLES_A_SECOND = 100
_END_SECONDS = 30.0
"""How long py-spy may take to write its file."""


class NoProfile(SeldonSpecError):
    """No profile can be taken."""


@dataclass(slots=True)
class Profile:
    """One profile, of this process's workers.

    Args:
        file: where it is written: a flame graph if its name ends in ``.svg``, else what speedscope reads.

    Raises:
        NoProfile: py-spy is not installed, or the file cannot be written.
    """

    file: Path
    _profiler: str = field(default_factory=lambda: _find_profiler(), init=False)
    _process: subprocess.Popen[str] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        try:
            self.file.open("ab").close()  # not only when hours have been spent on it
        except OSError as error:
            raise NoProfile(f"{self.file} cannot be written: {error.strerror}") from None

    def start(self, pid: int) -> None:
        """Begin to look.

        Args:
            pid: the workers' parent; those that come later are looked at, too.
        """
        words = [self._profiler, "record", "--pid", str(pid), "--subprocesses", "--function"]
        words += [
            "--rate",
            str(_SAMPLES_A_SECOND),
            "--format",
            _FORMATS.get(self.file.suffix, "speedscope"),
            "--output",
            str(self.file),
        ]
        # a group of its own: ^C is for the server, which ends the profile before its workers
        self._process = subprocess.Popen(  # noqa: S603
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        logger.info("profile: py-spy looks at the workers until they stop")

    @property
    def pid(self) -> int | None:
        """The process of py-spy, as long as it is not taken leave of."""
        return None if self._process is None else self._process.pid

    def reap(self) -> None:
        """Take leave of py-spy if it has ended by itself, which it does where it may not look."""
        if self._process is not None and self._process.poll() is not None:
            self.stop()

    def stop(self) -> None:
        """End it and have it written, while the workers are still there to be looked at."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            told, _ = process.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            told, _ = process.communicate()
        if process.returncode == 0:
            logger.info("profile: written to %s", self.file)
        else:
            logger.error(
                "profile: there is none, for py-spy ended with %d: %s", process.returncode, told.strip()[-2000:]
            )


def _find_profiler() -> str:
    """The program, which stands beside this Python or on the path."""
    found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if found is None:
        raise NoProfile("a profile is taken by py-spy, which is not installed: pip install 'seldon-spec[profile]'")
    return found
