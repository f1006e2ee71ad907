"""Who may ask: bearer tokens, compared in a time that tells nothing of them."""

from __future__ import annotations

import hmac

from seldon_spec.spec.model import AuthSpec

_SCHEME = b"bearer "


class Tokens:
    """The bearer tokens that a server takes.

    Args:
        auth: with its tokens read; None: everyone may ask.
    """

    def __init__(self, auth: AuthSpec | None = None) -> None:
        self._tokens = [] if auth is None else [str(token).encode() for token in auth.tokens]

    def allow(self, authorization: bytes | None) -> bool:
        """Whether a request with this header ``authorization`` may be answered."""
        if not self._tokens:
            return True
        if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
            return False
        given = authorization[len(_SCHEME) :].strip()
        is_known = False
        for token in self._tokens:  # all of them, so that the time does not tell which one it was
            is_known |= hmac.compare_digest(given, token)
        return is_known
