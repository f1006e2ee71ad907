"""TLS of a serving process, from ``server.tls``; the files are read when a worker starts."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from seldon_spec.config.model import Spec


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of ``server.tls``, wherever the process stands."""

    certificate: Path
    key: Path
    client_ca: Path | None

    @classmethod
    def of(cls, spec: Spec) -> TlsFiles | None:
        """Those of a spec; None: plain text."""
        tls = spec.server.tls
        if tls is None:
            return None
        client_ca = None if tls.client_ca is None else spec.folder / tls.client_ca
        return cls(spec.folder / tls.certificate, spec.folder / tls.key, client_ca)

    def make_context(self, *protocols: str) -> ssl.SSLContext:
        """A server's context.

        Args:
            protocols: what is spoken behind it, by ALPN's names.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # which costs a client little and the server much
        context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols(protocols)
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.client_ca)
        return context
