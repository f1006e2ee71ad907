"""Settings of the transports, from a Spec."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from seldon_spec.config.model import ServerSpec, Spec
from seldon_spec.transport.tls import TlsFiles

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""The files with the memory limit of a container, by the two versions of cgroups."""

_BUFFERED_SHARE = 4
_MIN_BUFFERED_BYTES = 64 << 20


def find_tls_files(spec: Spec) -> TlsFiles | None:
    """Return the files of ``server.tls``, relative to the folder of the file; None: plain text."""
    tls = spec.server.tls
    if tls is None:
        return None
    client_ca = None if tls.client_ca is None else spec.folder / tls.client_ca
    return TlsFiles(spec.folder / tls.certificate, spec.folder / tls.key, client_ca)


def buffered_limit(server: ServerSpec) -> int:
    """Return how many bytes a worker may buffer for all its connections: ``server.max_buffered_bytes``."""
    if server.max_buffered_bytes is not None:
        return server.max_buffered_bytes
    share = _memory_bytes() // _BUFFERED_SHARE // server.workers
    return max(share, _MIN_BUFFERED_BYTES, 2 * server.max_body_bytes, 4 * server.max_message_bytes)


def _memory_bytes() -> int:
    """Return the memory of the machine, or of the container if that has less."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # the file does not exist, or contains "max"
            sizes.append(int(path.read_text()))
    return min(sizes)
