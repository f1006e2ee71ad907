"""Which requests need a bearer token. Decided here alone, for every port, engine and transport.

Without a token, only these are handled: the probes ``/live``, ``/ready`` and ``/health/ping``, the gRPC health service,
and CORS preflights, which browsers send without one. ``/health/status`` needs a token because it runs the user's code.
Paths and methods that do not exist need one too, so that no client without a token learns which ones do.
"""

from __future__ import annotations

import hmac

from seldon_spec.config.model import AuthSpec
from seldon_spec.errors import Unauthenticated
from seldon_spec.observability.request_context import Find
from seldon_spec.protocols.seldon_v1.routes import PROBES

_SCHEME = b"bearer "
_HEALTH_PREFIX = b"/grpc.health.v1.Health/"


class TokenAuth:
    """Checks the tokens of requests.

    Args:
        auth: with its tokens resolved; None: no request needs a token.
    """

    def __init__(self, auth: AuthSpec | None = None) -> None:
        self._tokens = [] if auth is None else [str(token).encode() for token in auth.tokens]

    @property
    def is_closed(self) -> bool:
        """Return True if there are requests that need a token."""
        return bool(self._tokens)

    def is_preflight(self, method: str, find: Find) -> bool:
        """Return True for a CORS preflight that is to be answered here, without the application: it has no token."""
        return (
            bool(self._tokens)
            and method == "OPTIONS"
            and find(b"origin") is not None
            and find(b"access-control-request-method") is not None
        )

    def check_rest(self, path: str, find: Find) -> None:
        """Check a request to the REST port.

        Raises:
            Unauthenticated: it needs a token and has none that is valid.
        """
        if path not in PROBES:
            self._check(find)

    def check_metrics(self, find: Find) -> None:
        """Check a request to the metrics port; raises what ``check_rest`` raises."""
        self._check(find)

    def check_grpc(self, path: bytes, find: Find) -> None:
        """Check a call, whose path is ``/service/method``; raises what ``check_rest`` raises."""
        if not path.startswith(_HEALTH_PREFIX):
            self._check(find)

    def _check(self, find: Find) -> None:
        if self._tokens and not self._is_known(find(b"authorization")):
            raise Unauthenticated("a valid bearer token is required (server.auth)")

    def _is_known(self, authorization: bytes | None) -> bool:
        if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
            return False
        given = authorization[len(_SCHEME) :].strip()
        is_known = False
        for token in self._tokens:  # all of them, so that the time does not reveal which one it was
            is_known |= hmac.compare_digest(given, token)
        return is_known
