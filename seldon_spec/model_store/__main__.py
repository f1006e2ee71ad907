"""Download the model of an image while it is built: ``python -m seldon_spec.model_store URL FOLDER [SHA256]``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from seldon_spec.config.model_files.urls import find_problem, show_path
from seldon_spec.model_store.fetch import download
from seldon_spec.model_store.sources import ModelUnavailable

USAGE = "usage: python -m seldon_spec.model_store URL FOLDER [SHA256]"


def main(words: Sequence[str]) -> int:
    """Download a model, and return the exit code.

    Args:
        words: the URL, the folder of the spec in the image, and the checksum if there is one.
    """
    if len(words) not in (2, 3):
        sys.stderr.write(f"{USAGE}\n")
        return 2
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    url, folder, sha256 = words[0], Path(words[1]), words[2] if len(words) == 3 else None
    problem = find_problem(url)
    try:
        if problem is not None:
            raise ModelUnavailable(f"model.path: {show_path(url)}: {problem}")
        download(folder, url, sha256)
    except ModelUnavailable as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
