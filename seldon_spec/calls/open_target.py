"""Opens what a client is given: a server behind a URL, or a model in this process."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import SplitResult, unquote

from seldon_spec.calls.target import Target
from seldon_spec.client import BadData, Credentials, make_tls_context, parse_url, read_file
from seldon_spec.config.build_spec import default_name
from seldon_spec.config.model import Spec

Source: TypeAlias = "str | os.PathLike[str] | Spec | Callable[..., Any]"
"""A URL, a path, a spec, or a class or another callable that makes the object."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MODEL = re.compile(r"(.*)/v2/models/([^/]+)/?(?:infer)?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE = re.compile(r"[!-~]+(?: [!-~]+)*")


@dataclass(frozen=True, slots=True)
class Connection:
    """How to connect to a server; see ``Client``."""

    token: str | None = field(default=None, repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    max_connections: int = 16

    def list_headers(self) -> dict[str, str]:
        """Return the headers of every request.

        Raises:
            ValueError: the token or a header has characters that a header cannot contain, or both are credentials.
        """
        headers = dict(self.headers)
        if self.token is not None:
            if any(name.lower() == "authorization" for name in headers):
                raise ValueError("there is a token, and a header Authorization: only one of them can be sent")
            headers["authorization"] = f"Bearer {self.token}"
        for name, value in headers.items():
            check_header(name, value)
        return headers


def check_header(name: str, value: str) -> None:
    """Check a header.

    Raises:
        ValueError: it has characters that a header cannot contain.
    """
    if not _NAME.fullmatch(name) or not _VISIBLE.fullmatch(value):
        raise ValueError(f"the header {name!r:.100} has characters that a header cannot contain")


def split_model(url: str) -> tuple[SplitResult, str | None]:
    """Return the URL of a server, and the name of the model that the path ``…/v2/models/NAME`` selects.

    Raises:
        NoResponse: it is not such a URL.
    """
    parts = parse_url(url)
    found = _MODEL.fullmatch(parts.path)
    return (parts, None) if found is None else (parts._replace(path=found[1]), unquote(found[2]))


def is_url(source: object) -> bool:
    """Return whether a source is a URL, not a path."""
    return isinstance(source, str) and _SCHEME.match(source) is not None


def open_server(url: SplitResult, connection: Connection) -> Target:
    """Return the target for a URL; it connects on first use.

    Raises:
        BadData: a file of ``connection`` cannot be used.
        ValueError: a header cannot be sent.
    """
    headers = connection.list_headers()
    if (connection.certificate is None) != (connection.key is None):
        raise ValueError("a client certificate requires both certificate and key")
    if url.scheme in ("grpc", "grpcs"):
        import grpc  # not at the top: importing grpcio takes long

        from seldon_spec.calls.grpc_target import GrpcTarget

        files = (connection.ca, connection.key, connection.certificate)
        pems = [None if file is None else read_file(file) for file in files]
        return GrpcTarget(url, grpc.ssl_channel_credentials(*pems) if url.scheme == "grpcs" else None, headers)
    from seldon_spec.calls.rest_target import RestTarget

    tls = make_tls_context(Credentials(connection.ca)) if url.scheme == "https" else None
    if tls is not None and connection.certificate is not None:
        try:
            tls.load_cert_chain(connection.certificate, connection.key)
        except OSError as error:
            raise BadData(f"{connection.certificate} and {connection.key} cannot be used: {error}") from None
    return RestTarget(url, tls, headers, connection.max_connections)


def open_in_process(source: Source, parameters: Mapping[str, Any]) -> Target:
    """Return the target for a path, a spec or a class, whose model is loaded.

    Args:
        source: of the model.
        parameters: of a class; empty for any other source.

    Raises:
        SpecError: the spec has errors, a secret cannot be read, or a required argument has no value.
        ComponentFailed: the class cannot be imported or built.
        TypeError: the source is none of these.
    """
    from seldon_spec.calls.process_target import ProcessTarget
    from seldon_spec.inference.assembly import dispatcher_for

    if isinstance(source, (str, os.PathLike, Spec)):
        from seldon_spec.app import load, prepare
        from seldon_spec.remote import connect_component

        if parameters:
            raise TypeError(f"parameters are for a class, not for {source!r:.200}: {', '.join(parameters)}")
        spec = prepare(source if isinstance(source, Spec) else load(Path(source)))
        spec = replace(spec, server=replace(spec.server, batching=None))
        return ProcessTarget(dispatcher_for(spec, connect=connect_component), spec)
    if not callable(source):
        raise TypeError(f"a client takes a URL, a path, a Spec or a class, not {type(source).__name__!r}")
    name = getattr(source, "__name__", type(source).__name__)
    spec = Spec(class_name=name, folder=Path.cwd(), name=default_name(name), parameters=MappingProxyType(parameters))
    # the class itself, not its name: a notebook may have defined it anew
    return ProcessTarget(dispatcher_for(spec, user_class=source), spec)
