"""Check the PEM files of ``server.tls``: readable, a matching pair, and valid by date.

Uses OpenSSL through the standard library, imported only for a spec with TLS.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seldon_spec.config.model import Spec, TlsSpec
from seldon_spec.config.paths import Unreadable, read_file
from seldon_spec.errors import Diagnostic, Origin, Severity, SpecError

if TYPE_CHECKING:
    import ssl

MAX_PEM_BYTES = 1024 * 1024

_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
_ENCRYPTED = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE)
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, for which Python has no name."""

_REPORTED_AT_LOAD = frozenset({"unread-tls-file", "certificate-dates"})


def check_tls(tls: TlsSpec, folder: Path, origin: Callable[[str], Origin]) -> list[Diagnostic]:
    """Check the files; the errors show nothing of their content but dates.

    Args:
        tls: the paths.
        folder: the start of relative paths.
        origin: returns the origin of a key of ``server.tls``.
    """
    return list(_Check(tls, folder, origin).find_problems())


def require_tls(spec: Spec) -> None:
    """Check that the server can use the files; ``load`` only warns, since they may be mounted later.

    Raises:
        SpecError: a file cannot be read, or the certificate has expired or is not valid yet.
    """
    problems = [finding for finding in spec.diagnostics if finding.code in _REPORTED_AT_LOAD]
    if problems:
        raise SpecError(tuple(replace(finding, severity=Severity.ERROR) for finding in problems))


def find_unreadable(file: Path) -> str | None:
    """Return why a file cannot be read, which follows its name; None if it can be read."""
    try:
        read_file(file, MAX_PEM_BYTES)
    except Unreadable as error:
        return str(error)
    return None


class _Check:
    """A check of the files of one spec."""

    def __init__(self, tls: TlsSpec, folder: Path, origin: Callable[[str], Origin]) -> None:
        self._names = {"certificate": tls.certificate, "key": tls.key, "client_ca": tls.client_ca}
        self._folder, self._origin = folder, origin

    def find_problems(self) -> Iterator[Diagnostic]:
        wrong = {}
        for key, name in self._names.items():
            if name is not None:
                wrong[key] = [*self._find_wrong_file(key)]
                yield from wrong[key]
        if not wrong["certificate"] and not wrong["key"]:
            yield from self._find_wrong_pair()

    def _file(self, key: str) -> Path:
        return self._folder / str(self._names[key])

    def _find_wrong_file(self, key: str) -> Iterator[Diagnostic]:
        reason = find_unreadable(self._file(key))
        if reason is not None:
            message = f"server.tls.{key}: {self._names[key]} cannot be read: {reason}"
            yield self._wrong(
                "unread-tls-file", key, message, "create the file, or mount it into the container of the server"
            )
        elif key == "key":
            yield from self._find_wrong_key()
        elif not _holds_certificate(self._file(key)):
            message = f"server.tls.{key}: {self._names[key]} contains no readable certificate"
            yield self._wrong("bad-tls-file", key, message, "name a PEM file: -----BEGIN CERTIFICATE-----")

    def _find_wrong_key(self) -> Iterator[Diagnostic]:
        data = read_file(self._file("key"), MAX_PEM_BYTES)
        name = self._names["key"]
        if _ENCRYPTED.search(data):
            message = f"server.tls.key: {name} is encrypted with a passphrase, which is not supported"
            remedy = "write the key without one, openssl pkey -in OLD -out NEW, and protect the file instead"
            yield self._wrong("bad-tls-file", "key", message, remedy)
        elif not _KEY.search(data):
            message = f"server.tls.key: {name} contains no readable private key"
            yield self._wrong("bad-tls-file", "key", message, "name a PEM file: -----BEGIN PRIVATE KEY-----")

    def _find_wrong_pair(self) -> Iterator[Diagnostic]:
        import ssl

        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # Without a passphrase OpenSSL would prompt for one at the terminal.
            server.load_cert_chain(self._file("certificate"), self._file("key"), password="")
            certificate = _read_certificate(server, self._file("certificate"))
        except ssl.SSLError as error:
            yield self._report_rejected(error)
        else:
            yield from self._find_wrong_dates(*_dates(certificate))

    def _report_rejected(self, error: ssl.SSLError) -> Diagnostic:
        reason = error.reason or ""
        if reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
            return self._wrong(
                "key-mismatch",
                "key",
                f"server.tls.key: {self._names['key']} is not the key of {self._names['certificate']}",
                "name a matching pair; the certificate of the server must be the first in its file",
            )
        verify_message = getattr(error, "verify_message", "")
        key = "certificate" if verify_message or reason.endswith(("_TOO_SMALL", "_TOO_WEAK")) else "key"
        words = verify_message or reason.replace("_", " ").lower() or "it cannot be read"
        message = f"server.tls.{key}: OpenSSL rejects {self._names[key]}: {words}"
        return self._wrong("bad-tls-file", key, message, "create a new certificate and key for a server")

    def _find_wrong_dates(self, first: float, last: float) -> Iterator[Diagnostic]:
        now = time.time()
        if not first <= now <= last:
            words = f"expired on {_show(last)}" if now > last else f"is not valid before {_show(first)}"
            message = f"server.tls.certificate: {self._names['certificate']} {words}"
            yield self._wrong("certificate-dates", "certificate", message, "renew it, or correct the clock")

    def _wrong(self, code: str, key: str, message: str, remedy: str) -> Diagnostic:
        return Diagnostic(code, message, self._origin(key), path=("server", "tls", key), help=remedy)


def _holds_certificate(file: Path) -> bool:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(file)
    except ssl.SSLError:
        return False
    return context.cert_store_stats()["x509"] > 0


def _read_certificate(server: ssl.SSLContext, trusted: Path) -> Mapping[str, object]:
    """Return the certificate of a handshake, the only way in which the standard library reads its dates."""
    import ssl

    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    client.load_verify_locations(trusted)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        client.wrap_bio(to_client, to_server, server_side=False),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = list(sides)
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
    certificate = sides[0].getpeercert()
    assert certificate is not None
    return certificate


def _dates(certificate: Mapping[str, object]) -> tuple[float, float]:
    """Return the first and the last second of a certificate's validity, since the epoch."""
    import ssl

    first, last = (ssl.cert_time_to_seconds(str(certificate[name])) for name in ("notBefore", "notAfter"))
    return first, last


def _show(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
