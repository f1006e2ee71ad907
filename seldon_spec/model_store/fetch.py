"""Find the file of ``model.path``; that of a URL is downloaded once to a folder of the machine.

The processes of a server use the same file: the first one that needs it downloads it, and the others wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from seldon_spec.config.model_files.checksum import find_sha256
from seldon_spec.config.model_files.formats import FORMATS
from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.config.model_files.spec import ModelSpec
from seldon_spec.config.model_files.urls import find_local, is_url, key_of, name_of, scheme_of, show_path
from seldon_spec.model_store.sources import Listing, ModelUnavailable, RemoteFile, open_source

logger = logging.getLogger(__name__)

MAX_BYTES = 256 << 30
"""The limit of the size of a model."""

_CHUNK = 1 << 20
_LOG_SECONDS = 10.0
_RECORD = "record.json"
_PARTIAL = "partial-"
_MAX_RECORD_BYTES = 1 << 16
_MEGABYTE = 1_000_000


def default_cache() -> Path:
    """Return the folder of downloads: ``.cache/seldon-spec/models`` in the home folder, in an image that is /tmp."""
    try:
        home = Path.home()
    except RuntimeError:  # a user without an account, whose variable HOME is not set
        home = Path(tempfile.gettempdir())
    return home / ".cache" / "seldon-spec" / "models"


def fetch_model(folder: Path, model: ModelSpec, loaded_at: float, cache: Path | None = None) -> Path:
    """Return the path of a model file, after a download if it is needed.

    Without ``sha256``, a file that was downloaded before ``loaded_at`` is compared with that at the URL.

    Args:
        folder: of the spec.
        model: the section of the spec.
        loaded_at: when the spec was read, in seconds since the epoch.
        cache: the folder of downloads; None: the default.

    Raises:
        ModelUnavailable: it cannot be downloaded, or has another checksum or format.
    """
    local = find_local(folder, model.path, model.sha256)
    if is_url(model.path) and scheme_of(model.path) != "file" and not local.exists():
        local = _fetch(cache or default_cache(), model.path, model.sha256, loaded_at)
    elif not local.exists():
        raise ModelUnavailable(f"model.path: there is no file {local}")
    else:
        check_sha256(local, model.path, model.sha256)
    if is_url(model.path):
        _check_format(local, model)
    return local


def download(folder: Path, url: str, sha256: str | None) -> Path:
    """Download the file of a URL into a folder of an image, where :func:`fetch_model` finds it.

    Raises:
        ModelUnavailable: see :func:`fetch_model`.
    """
    target = find_local(folder, url, sha256)
    with _writable(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_source(url, "") as listing:
            assert listing is not None
            _save(listing, url, sha256, target)
    return target


def check_sha256(path: Path, shown: str, sha256: str | None) -> None:
    """Check the checksum of a file.

    Args:
        path: of the file.
        shown: its path or URL in the spec.
        sha256: the expected checksum; None: there is none.

    Raises:
        ModelUnavailable: it is another one.
    """
    if sha256 is None:
        return
    if path.is_dir():
        raise ModelUnavailable(f"model.sha256: {show_path(shown)} is a folder, which has no checksum: delete the key")
    try:
        found = find_sha256(path)
    except OSError as error:
        raise ModelUnavailable(f"model.path: {show_path(shown)} cannot be read: {error.strerror or error}") from None
    if found != sha256:
        raise ModelUnavailable(f"model.sha256: {show_path(shown)} has the checksum {found}, not {sha256}")


def _check_format(path: Path, model: ModelSpec) -> None:
    """Check what ``validate`` checks of a file in the folder, which it cannot read at a URL."""
    found = inspect_model(path)
    if found is not None and found.is_certain and found.format != model.format and model.format in FORMATS:
        raise ModelUnavailable(
            f"model.format: {show_path(model.path)} is no model of the format {model.format}: it is {found.kind}"
        )


@dataclass(frozen=True, slots=True)
class _Record:
    """The last download of a URL.

    Attributes:
        folder: that of the file, in the folder of the URL.
        revision: at the URL; empty: unknown.
        checked_at: when the revision was last compared, in seconds since the epoch.
    """

    folder: str
    revision: str
    checked_at: float


def _fetch(cache: Path, url: str, sha256: str | None, loaded_at: float) -> Path:
    entry = cache / key_of(url, sha256)
    name = name_of(url)
    with _writable(entry), _locked(entry):
        record = _read_record(entry)
        path = None if record is None else entry / record.folder / name
        known = ""
        if record is not None and path is not None and path.exists():
            if _is_usable(path, url, sha256, record, loaded_at):
                return path
            known = record.revision if sha256 is None else ""
        for left in entry.glob(f"{_PARTIAL}*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        checked_at = time.time()
        with open_source(url, known) as listing:
            if listing is None:
                assert record is not None
                assert path is not None
                _write_record(entry, _Record(record.folder, known, checked_at))
                return path
            partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=entry))
            try:
                _save(listing, url, sha256, partial / name)
                target = entry / f"model-{time.time_ns()}"
                partial.rename(target)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        _write_record(entry, _Record(target.name, listing.revision, checked_at))
        _remove_old(entry, {target.name} if record is None else {target.name, record.folder})
        return target / name


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Report that a folder cannot be written."""
    try:
        yield
    except ModelUnavailable:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelUnavailable(f"model.path: the download cannot be stored in {folder}: {reason}") from None


@contextlib.contextmanager
def _locked(entry: Path) -> Iterator[None]:
    """Wait until no other process downloads the same file."""
    entry.mkdir(mode=0o700, parents=True, exist_ok=True)
    if entry.stat().st_uid != os.getuid():  # who could exchange the files, in a folder such as /tmp
        raise ModelUnavailable(f"model.path: {entry} belongs to another user: remove it, or set HOME")
    descriptor = os.open(entry / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which also ends the lock


def _is_usable(path: Path, url: str, sha256: str | None, record: _Record, loaded_at: float) -> bool:
    """Return whether a file needs no comparison with that at the URL."""
    if sha256 is None:
        return record.checked_at >= loaded_at
    try:
        check_sha256(path, url, sha256)
    except ModelUnavailable:
        logger.warning("the file of an earlier download of %s has changed: downloading it again", show_path(url))
        return False
    return True


def _read_record(entry: Path) -> _Record | None:
    """Return the record; None if there is none, or it is damaged."""
    try:
        with (entry / _RECORD).open("rb") as stream:
            tree = json.loads(stream.read(_MAX_RECORD_BYTES))
        record = _Record(str(tree["folder"]), str(tree["revision"]), float(tree["checked_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if PurePosixPath(record.folder).name == record.folder else None


def _write_record(entry: Path, record: _Record) -> None:
    written = entry / f"{_RECORD}.new"
    written.write_text(json.dumps(asdict(record)), encoding="utf-8")
    written.replace(entry / _RECORD)


def _remove_old(entry: Path, kept: set[str]) -> None:
    """Remove the files of earlier downloads, except for that which other processes may still load."""
    for each in entry.glob("model-*"):
        if each.name not in kept:
            shutil.rmtree(each, ignore_errors=True)


def _save(listing: Listing, url: str, sha256: str | None, target: Path) -> None:
    """Write the files of a URL, and check them."""
    if listing.is_folder and sha256 is not None:
        raise ModelUnavailable(f"model.sha256: {show_path(url)} is a folder, which has no checksum: delete the key")
    sizes = [each.size for each in listing.files]
    total = None if None in sizes else sum(filter(None, sizes))
    _check_size(url, total or 0, target.parent)
    progress = _ProgressLog(url, total)
    for each in listing.files:
        path = _place(target, each, url)
        path.parent.mkdir(parents=True, exist_ok=True)
        _copy(each, path, progress)
    check_sha256(target, url, sha256)
    progress.end()


def _check_size(url: str, size: int, folder: Path) -> None:
    if size > MAX_BYTES:
        raise ModelUnavailable(f"model.path: {show_path(url)} has {size} bytes, more than the limit of {MAX_BYTES}")
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ModelUnavailable(f"model.path: {show_path(url)} has {size} bytes, and {folder} has {free} bytes left")


def _place(target: Path, file: RemoteFile, url: str) -> Path:
    """Return where a file of a folder is written."""
    parts = PurePosixPath(file.path).parts
    if ".." in parts or file.path.startswith("/") or "\0" in file.path:
        raise ModelUnavailable(f"model.path: {show_path(url)} has a file outside the folder")
    return target.joinpath(*parts)


def _copy(file: RemoteFile, path: Path, progress: _ProgressLog) -> None:
    with file.open() as source, path.open("wb") as target:
        written = 0
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            written += len(chunk)
            progress.add(len(chunk))
    if file.size is not None and written != file.size:
        raise ModelUnavailable(
            f"model.path: {show_path(progress.url)} cannot be downloaded:"
            f" the connection ended after {written} of {file.size} bytes"
        )


class _ProgressLog:
    """Logs a download: its start, every ten seconds, and its end.

    Args:
        url: what is downloaded.
        total: its size in bytes; None: unknown.
    """

    def __init__(self, url: str, total: int | None) -> None:
        self.url = url
        self._total = "" if total is None else f" of {_show_size(total)}"
        self._done = 0
        self._started = self._logged = time.monotonic()
        logger.info("downloading %s%s", show_path(url), "" if total is None else f" ({_show_size(total)})")

    def add(self, size: int) -> None:
        """Count bytes.

        Raises:
            ModelUnavailable: the model is larger than the limit.
        """
        self._done += size
        if self._done > MAX_BYTES:
            raise ModelUnavailable(f"model.path: {show_path(self.url)} has more bytes than the limit of {MAX_BYTES}")
        now = time.monotonic()
        if now - self._logged >= _LOG_SECONDS:
            self._logged = now
            logger.info("downloaded %s%s of %s", _show_size(self._done), self._total, show_path(self.url))

    def end(self) -> None:
        """Log the end."""
        seconds = time.monotonic() - self._started
        logger.info("downloaded %s: %s in %.1f s", show_path(self.url), _show_size(self._done), seconds)


def _show_size(size: int) -> str:
    return f"{size / _MEGABYTE:.1f} MB" if size >= _MEGABYTE else f"{size} bytes"
