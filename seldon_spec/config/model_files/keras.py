"""Files of Keras, which are recognised to say how to serve the model: as a SavedModel of TensorFlow."""

from __future__ import annotations

import zipfile
from pathlib import Path

from seldon_spec.config.model_files.model_file import ModelFile

HDF5 = b"\x89HDF\r\n\x1a\n"
"""The first bytes of a file of HDF5."""

_MEMBERS = frozenset({"config.json", "metadata.json"})
_REMEDY = "write it as a SavedModel of TensorFlow, with keras.saving.load_model(FILE).export(FOLDER)"


def recognise_keras(path: Path, head: bytes) -> ModelFile | None:
    """Return what a file of Keras is; None if it is none.

    Args:
        path: of the file.
        head: its first bytes, at least eight.
    """
    if head.startswith(HDF5):
        return ModelFile(None, "a file of HDF5, as of older models of Keras", remedy=_REMEDY)
    try:
        with zipfile.ZipFile(path) as archive:
            is_keras = set(archive.namelist()) >= _MEMBERS
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return None
    return ModelFile(None, "a model of Keras", remedy=_REMEDY) if is_keras else None
