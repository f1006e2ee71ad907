"""Which requests need a bearer token, for every port, engine and transport.

Without a token, only these are handled: probes, public documents, the gRPC health service and what a protocol has like
it, and CORS preflights, which browsers send without a token. ``/health/status`` needs a token because it runs the
user's code.
Unknown paths and methods need one too, so that a client without a token cannot find out which ones exist.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection

from seldon_spec.config.model import AuthSpec
from seldon_spec.errors import Unauthenticated
from seldon_spec.observability.request_context import Find

_SCHEME = b"bearer "
_HEALTH_PREFIX = b"/grpc.health.v1.Health/"


class TokenAuth:
    """Checks the tokens of requests.

    Args:
        auth: with its tokens resolved; None: no request needs a token.
        open_paths: of the gRPC methods that need no token, beside those of the health service.
    """

    def __init__(self, auth: AuthSpec | None = None, open_paths: Collection[bytes] = ()) -> None:
        self._open_paths = open_paths
        self._tokens = [] if auth is None else [str(token).encode() for token in auth.tokens]

    @property
    def is_closed(self) -> bool:
        """Return True if there are requests that need a token."""
        return bool(self._tokens)

    def is_preflight(self, method: str, find: Find) -> bool:
        """Return True for a CORS preflight that needs a response before the check of the token."""
        return (
            bool(self._tokens)
            and method == "OPTIONS"
            and find(b"origin") is not None
            and find(b"access-control-request-method") is not None
        )

    def accepts(self, find: Find) -> bool:
        """Return True if a request has a valid token or needs none, given the values of its headers."""
        return not self._tokens or self._is_known(find(b"authorization"))

    def check(self, find: Find) -> None:
        """Check the token of a request, given the values of its headers.

        Raises:
            Unauthenticated: there is no valid token.
        """
        if not self.accepts(find):
            raise Unauthenticated("a valid bearer token is required (server.auth)")

    def check_grpc(self, path: bytes, find: Find) -> None:
        """Check a call, whose path is ``/service/method``; raises what ``check`` raises."""
        if not path.startswith(_HEALTH_PREFIX) and path not in self._open_paths:
            self.check(find)

    def _is_known(self, authorization: bytes | None) -> bool:
        if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
            return False
        given = authorization[len(_SCHEME) :].strip()
        is_known = False
        for token in self._tokens:  # compare with all of them, so that the time does not show which one matched
            is_known |= hmac.compare_digest(given, token)
        return is_known
