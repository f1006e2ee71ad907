"""What is known of the image that requirements are installed into. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """What is known of the image that requirements are installed into.

    Attributes:
        python: e.g. ``3.12``; None where the base brings a version that is not known here.
        is_plain: built on Python's own slim image, so that nothing else is installed there.
        steps: the text of the user's own instructions before the install.
    """

    python: str | None
    is_plain: bool
    workdir: str
    steps: str
    has_index: bool
    packages: frozenset[str]

    def environment(self) -> dict[str, str]:
        """Return the variables of markers; with an unknown Python, those of its version are missing."""
        known = {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "sys_platform": "linux",
            "extra": "",
        }
        if self.python is None:
            return known
        minor = ".".join(self.python.split(".")[:2])
        full = self.python if self.python.count(".") > 1 else f"{minor}.99"
        return {**known, "python_version": minor, "python_full_version": full, "implementation_version": full}
