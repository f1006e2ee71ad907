"""The image that requirements are installed into."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """The known properties of the image that requirements are installed into.

    Attributes:
        python: the version, e.g. ``3.12``; None if the base has an unknown one.
        is_plain: the base is a slim image of Python, without other packages.
        steps: the text of the user's instructions before the install.
    """

    python: str | None
    is_plain: bool
    workdir: str
    steps: str
    has_index: bool
    packages: frozenset[str]

    def environment(self) -> dict[str, str]:
        """Return the environment for markers, without the version of Python if it is unknown."""
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
