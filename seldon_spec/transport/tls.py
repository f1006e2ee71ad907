"""TLS of a server."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The certificate and key of a server, and the CA that client certificates have to be signed by, if any."""

    certificate: Path
    key: Path
    client_ca: Path | None

    def make_context(self, *protocols: str) -> ssl.SSLContext:
        """Return the context of a server; the files are read now.

        Args:
            protocols: names of the application protocols, for ALPN.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # it costs a client little and the server much
        context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols(protocols)
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.client_ca)
        return context
