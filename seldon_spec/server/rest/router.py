"""The router: from the method and path of a request to the route of a protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seldon_spec.protocols.route import RestProtocol, Route

_NAME = re.compile(r"\{(\w+)\}")
_SLASHES = re.compile("/{2,}")
_NO_PARAMETERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Resource:
    """The routes of one path.

    Attributes:
        protocol: the protocol of all of them.
        routes: by HTTP method, HEAD included.
        allow: the value of the header ``Allow``.
        is_probe: whether the path serves a probe, whatever the method.
    """

    protocol: RestProtocol
    routes: Mapping[str, Route]
    allow: str
    is_probe: bool


class Match:
    """The result of routing a request.

    Attributes:
        protocol: of the path; it defines the format of errors.
        resource: the routes of the path; None: the path is unknown.
        route: None: the path is unknown, or does not accept the method.
        parameters: the segments of the path that the pattern names.
    """

    __slots__ = ("parameters", "protocol", "resource", "route")

    def __init__(
        self,
        protocol: RestProtocol,
        resource: Resource | None,
        method: str,
        parameters: Mapping[str, str] = _NO_PARAMETERS,
    ) -> None:
        self.protocol = protocol
        self.resource = resource
        self.route = None if resource is None else resource.routes.get(method)
        self.parameters = parameters

    @property
    def needs_token(self) -> bool:
        """Return True if the request needs a token; an unknown path needs one too."""
        return not self.is_probe and (self.route is None or self.route.public_document is None)

    @property
    def is_probe(self) -> bool:
        """Return True if the path serves a probe."""
        return self.resource is not None and self.resource.is_probe


class Router:
    """Finds routes: paths without parameters by one dictionary lookup, then patterns in the order of the tables.

    Args:
        protocols: their paths differ; the first one has no prefix.
    """

    def __init__(self, protocols: Sequence[RestProtocol]) -> None:
        self._protocols = protocols
        self._exact: dict[str, Resource] = {}
        self._patterns: list[tuple[re.Pattern[str], Resource]] = []
        for protocol in protocols:
            for path in dict.fromkeys(route.path for route in protocol.routes):
                resource = _make_resource(protocol, [route for route in protocol.routes if route.path == path])
                if _NAME.search(path):
                    self._patterns.append((_compile(path), resource))
                else:
                    self._exact[path] = resource

    def match(self, method: str, path: str) -> Match:
        """Route a request.

        Args:
            method: in upper case.
            path: percent-decoded, one character per byte. Several slashes count as one.
        """
        if "//" in path:
            path = _SLASHES.sub("/", path)
        resource = self._exact.get(path)
        if resource is not None:
            return Match(resource.protocol, resource, method)
        for pattern, resource in self._patterns:
            found = pattern.fullmatch(path)
            if found is not None:
                parameters = {name: _decode(value) for name, value in found.groupdict().items()}
                return Match(resource.protocol, resource, method, parameters)
        return Match(self.find_protocol(path), None, method)

    def find_protocol(self, path: str) -> RestProtocol:
        """Return the protocol that defines the format of errors of a path."""
        prefix = "/" + path.lstrip("/").partition("/")[0]
        return next((each for each in self._protocols if each.prefix == prefix), self._protocols[0])


def _make_resource(protocol: RestProtocol, routes: list[Route]) -> Resource:
    by_method = {method: route for route in routes for method in route.methods}
    if "GET" in by_method:
        by_method["HEAD"] = by_method["GET"]
    return Resource(
        protocol,
        by_method,
        ", ".join(sorted({*by_method, "OPTIONS"})),
        all(route.is_probe for route in routes),
    )


def _compile(path: str) -> re.Pattern[str]:
    parts = _NAME.split(path)  # text, name, text, ...
    return re.compile("".join(f"(?P<{part}>[^/]+)" if i % 2 else re.escape(part) for i, part in enumerate(parts)))


def _decode(value: str) -> str:
    return value.encode("latin-1").decode(errors="replace")
