"""Words for the user's class: what it may raise or return to say more than a value can (contract section 3.5).

They are the original's, under the same names, for a class that does without the package ``seldon_core``. Both are
recognised by name, so it makes no difference which ones a class uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class SeldonMicroserviceException(Exception):
    """An error with a status, a reason and a text of its own, which clients are told on both transports.

    Args:
        message: the text.
        status_code: the HTTP status, from 400 to 599; None: that of the class.
        payload: kept for the class's own handlers; clients are not told of it.
        reason: a word for programs.
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
        """The body that clients get; a subclass may say more under ``status``."""
        return {"status": {"status": 1, "info": self.message, "code": -1, "reason": self.reason}}


class SeldonNotImplementedError(SeldonMicroserviceException):
    """Raised by a hook: take me for not being there."""

    def __init__(self, message: str = "not implemented") -> None:
        super().__init__(message, 400, None, "MICROSERVICE_NOT_IMPLEMENTED")


class SeldonResponse:
    """A result with tags and metrics of this one call.

    Args:
        data: what the hook would have returned otherwise.
        tags: stand above those of ``tags()``.
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
        """The response itself, or one without tags and metrics for any other value."""
        return data if isinstance(data, cls) else cls(data)
