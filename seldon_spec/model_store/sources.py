"""What is at a URL: one file or a folder of files, with their sizes and a revision.

HTTP needs no package; the other schemes use the filesystems of fsspec, which find their credentials themselves.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import netrc
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from typing import IO, Any
from urllib.parse import urlsplit

from seldon_spec import __version__
from seldon_spec.config.checks.distributions import package_of
from seldon_spec.config.model_files.urls import SCHEMES, scheme_of, show_path
from seldon_spec.config.secret_names import mask_urls
from seldon_spec.errors import SeldonSpecError

TIMEOUT_SECONDS = 60
"""For the connection, and between two parts of a file."""

MAX_FILES = 10_000

_HTTP = ("http", "https")
_CREDENTIALS = {
    "https": "for a private file, put the host with a login and a password into .netrc",
    "http": "for a private file, put the host with a login and a password into .netrc",
    "s3": "credentials come from the variables and files of AWS, e.g. AWS_ACCESS_KEY_ID",
    "gs": "credentials come from the variables and files of Google Cloud, e.g. GOOGLE_APPLICATION_CREDENTIALS",
}


class ModelUnavailable(SeldonSpecError):
    """The file of a URL cannot be downloaded, or it is not the expected one."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to download.

    Attributes:
        path: relative to the folder; that of a single file is empty.
        size: in bytes; None: unknown.
        open: returns its contents.
    """

    path: str
    size: int | None
    open: Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True, slots=True)
class Listing:
    """The files at a URL.

    Attributes:
        revision: differs if the contents differ; empty: unknown.
        files: at least one.
        is_folder: the URL is a folder.
    """

    revision: str
    files: tuple[RemoteFile, ...]
    is_folder: bool = False


@contextlib.contextmanager
def open_source(url: str, known: str) -> Iterator[Listing | None]:
    """List the files at a URL; None if the revision is the known one.

    Args:
        url: without a problem.
        known: the revision of an earlier download; empty: there is none.

    Raises:
        ModelUnavailable: there is no such file, it must not be read, or the server does not respond.
    """
    shown = show_path(url)
    try:
        if scheme_of(url) in _HTTP:
            with _open_http(url, known) as listing:
                yield listing
        else:
            yield _list_filesystem(url, known)
    except ModelUnavailable:
        raise
    except urllib.error.HTTPError as error:
        with error:
            reason = f"HTTP {error.code} {error.reason}"
            remedy = _CREDENTIALS[scheme_of(url)] if error.code in (401, 403, 407) else None
        raise _unavailable(shown, reason, remedy) from None
    except (FileNotFoundError, IsADirectoryError):
        raise _unavailable(shown, "there is no such file", None) from None
    except (urllib.error.URLError, HTTPException) as error:
        raise _unavailable(shown, str(getattr(error, "reason", error)) or type(error).__name__, None) from None
    except TimeoutError:
        raise _unavailable(shown, f"no response for {TIMEOUT_SECONDS} s", None) from None
    except OSError as error:
        remedy = _CREDENTIALS.get(scheme_of(url)) if isinstance(error, PermissionError) else None
        raise _unavailable(shown, error.strerror or str(error) or type(error).__name__, remedy) from None
    except Exception as error:  # the libraries of clouds have exceptions of their own
        if scheme_of(url) in _HTTP:
            raise
        raise _unavailable(shown, f"{type(error).__name__}: {error}", _CREDENTIALS.get(scheme_of(url))) from None


def _unavailable(shown: str, reason: str, remedy: str | None) -> ModelUnavailable:
    reason = " ".join(mask_urls(reason).split())[:300]
    return ModelUnavailable(f"model.path: {shown} cannot be downloaded: {reason}{f'; {remedy}' if remedy else ''}")


# HTTP


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects within HTTP; one from HTTPS to HTTP would be unprotected."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if scheme_of(newurl) not in _HTTP or (scheme_of(newurl) == "http" and scheme_of(req.full_url) == "https"):
            raise ModelUnavailable(
                f"model.path: {show_path(req.full_url)} redirects to {show_path(newurl)}, which is not HTTPS"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_CONDITIONS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
"""The headers that identify a revision, each with that of a request for any other one."""


@contextlib.contextmanager
def _open_http(url: str, known: str) -> Iterator[Listing | None]:
    request = urllib.request.Request(url, headers={"User-Agent": f"seldon-spec/{__version__}"})  # noqa: S310
    login = _find_login(url)
    if login is not None:
        request.add_unredirected_header("Authorization", login)
    kind, _, value = known.partition(":")
    if kind in _CONDITIONS:
        request.add_header(_CONDITIONS[kind], value)
    try:
        response = urllib.request.build_opener(_Redirects()).open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 304:
            raise
        error.close()
        yield None
        return
    with response:
        length = response.headers.get("Content-Length")
        size = int(length) if length is not None and length.isdigit() else None
        revision = next((f"{name}:{found}" for name in _CONDITIONS if (found := response.headers.get(name))), "")
        if known and revision == known:
            yield None
            return
        yield Listing(revision, (RemoteFile("", size, lambda: contextlib.nullcontext(response)),))


def _find_login(url: str) -> str | None:
    """Return the header of the login for the host of a URL in the file .netrc of the home folder."""
    try:
        found = netrc.netrc().authenticators(urlsplit(url).hostname or "")
    except (OSError, netrc.NetrcParseError):
        return None
    if found is None:
        return None
    text = f"{found[0]}:{found[2] or ''}"
    return f"Basic {base64.b64encode(text.encode()).decode('ascii')}"


# fsspec


def _list_filesystem(url: str, known: str) -> Listing | None:
    module = SCHEMES[scheme_of(url)]
    assert module is not None
    try:
        importlib.import_module(module)
        fsspec = importlib.import_module("fsspec")
    except ModuleNotFoundError:
        package = package_of(module)
        raise ModelUnavailable(f"model.path: {scheme_of(url)}:// needs {package}: pip install {package}") from None
    filesystem, path = fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    info: Mapping[str, Any] = filesystem.info(path)
    is_folder = info.get("type") == "directory"
    found: dict[str, Mapping[str, Any]] = filesystem.find(path, detail=True) if is_folder else {path: info}
    if not found:
        raise FileNotFoundError
    if len(found) > MAX_FILES:
        raise ModelUnavailable(f"model.path: {show_path(url)} has more than {MAX_FILES} files")
    revision = _find_revision(found)
    if known and revision == known:
        return None
    root = path.rstrip("/") + "/"
    files = (
        RemoteFile(name.removeprefix(root) if is_folder else "", each.get("size"), partial(filesystem.open, name, "rb"))
        for name, each in found.items()
        if not name.endswith("/")
    )
    return Listing(revision, tuple(files), is_folder)


_MARKS = ("ETag", "etag", "md5Hash", "generation", "LastModified", "mtime", "updated")
"""What filesystems say of a file that differs if its contents differ."""


def _find_revision(found: Mapping[str, Mapping[str, Any]]) -> str:
    marks = [
        (name, each.get("size"), *(str(each[mark]) for mark in _MARKS if each.get(mark) is not None))
        for name, each in sorted(found.items())
    ]
    return hashlib.sha256(repr(marks).encode()).hexdigest()
