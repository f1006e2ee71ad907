"""Replacement for ``seldon_core.storage``, for local files."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Storage"]


class Storage:
    """Access to model files."""

    @staticmethod
    def download(uri: str, out_dir: str | None = None) -> str:
        """Return the path of local model files; nothing is copied.

        Args:
            uri: a path, or a ``file://`` URL.
            out_dir: a folder in which to create a symbolic link to the file, or to each file of the folder.

        Returns:
            ``out_dir`` if it is given, else the path.

        Raises:
            RuntimeError: the URL is remote, or the path does not exist.
        Source: contract section 3.5.
        """
        source = _local_path(uri)
        if not source.exists():
            raise RuntimeError(f"Storage.download: {source} does not exist")
        if out_dir is None:
            return str(source)
        folder = Path(out_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for file in source.iterdir() if source.is_dir() else (source,):
            link = folder / file.name
            if not link.exists():
                link.symlink_to(file.resolve())
        return str(folder)


def _local_path(uri: str) -> Path:
    parts = urlsplit(str(uri))
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if "://" in str(uri):
        raise RuntimeError(
            f"Storage.download reads local paths and file:// only, not {uri}: copy the files into the image"
            " (image.model_files of seldon.yaml), set modelUri of the graph unit, which provides them in"
            f" /mnt/models, or fetch them in load() with a client for {parts.scheme}://"
        )
    return Path(uri)
