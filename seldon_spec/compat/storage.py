"""What classes import from ``seldon_core.storage``: a model's files, which are on this machine already."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Storage"]


class Storage:
    """Where a model's files are."""

    @staticmethod
    def download(uri: str, out_dir: str | None = None) -> str:
        """Have a model's files at hand; of what is local already, nothing is copied.

        Args:
            uri: a path, or the same as ``file://``.
            out_dir: a folder that gets a symbolic link to the file, or to each file of the folder.

        Returns:
            ``out_dir`` if it is given, else the path.

        Raises:
            RuntimeError: it is on another machine, or there is no such path.
        Source: contract section 3.5.
        """
        source = _local_path(uri)
        if not source.exists():
            raise RuntimeError(f"Storage.download: there is no {source}")
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
            f"Storage.download reads local paths and file:// only, not {uri}: put the files into the image"
            " (image.model_files of seldon.yaml), give the graph's node a modelUri, whose files are then in"
            f" /mnt/models, or fetch them in load() with a client for {parts.scheme}://"
        )
    return Path(uri)
