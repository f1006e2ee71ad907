"""What the user's class may raise and return: errors with a status, results with tags (contract section 3.5).

The names are the original's, for a class without the package ``seldon_core``. Both are recognised by name, so a class
may use either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class SeldonMicroserviceException(Exception):
    """An error with its own status, reason and text, which clients get on both transports.

    Args:
        message: the text.
        status_code: the HTTP status, from 400 to 599; None: that of the class.
        payload: for the class's own handlers; it is not sent to clients.
        reason: a constant for programs.
    """

    status_code: int = 400

    def __init__(
        self,
        message: str,
        status_code: int | None = None,
        payload: Mapping[str, Any] | None = None,
        reason: str = "MICROSERVICE_BAD_DATA",
    ) -> None:
        super().__init__(message)
        self.message = message
        if status_code is not None:
            self.status_code = status_code
        self.payload = payload
        self.reason = reason

    def to_dict(self) -> dict[str, Any]:
        """Return the body that clients get; a subclass may add members to ``status``."""
        return {"status": {"status": 1, "info": self.message, "code": -1, "reason": self.reason}}


class SeldonNotImplementedError(SeldonMicroserviceException):
    """Raised by a hook that is not implemented; the hook is treated as absent."""

    def __init__(self, message: str = "not implemented") -> None:
        super().__init__(message, 400, None, "MICROSERVICE_NOT_IMPLEMENTED")


class SeldonResponse:
    """A result with tags and metrics of this one call.

    Args:
        data: what the hook would have returned otherwise.
        tags: override those of ``tags()``.
        metrics: in the form that ``metrics()`` has.
    """

    def __init__(
        self,
        data: Any,
        tags: Mapping[str, Any] | None = None,
        metrics: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.data = data
        self.tags = {} if tags is None else tags
        self.metrics = [] if metrics is None else metrics

    @classmethod
    def create(cls, data: Any) -> SeldonResponse:
        """Return the response itself, or one without tags and metrics for any other value."""
        return data if isinstance(data, cls) else cls(data)
