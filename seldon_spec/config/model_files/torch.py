"""What an archive of PyTorch holds: a program, or weights without one."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_MAX_PROGRAM_BYTES = 64 << 20
_VERSION = re.compile(rb'"torch_version":\s*"(\d{1,4}(?:\.\d{1,4}){1,2})')


class TorchContents(Enum):
    """What an archive holds, for diagnostics."""

    SCRIPT = "a program of TorchScript"
    EXPORT = "a program of torch.export"
    COMPILED = "a package of AOTInductor"
    WEIGHTS = "weights or a pickled module of PyTorch, without a program"


@dataclass(frozen=True, slots=True)
class TorchArchive:
    """An archive of PyTorch.

    Attributes:
        contents: what it holds.
        version: of PyTorch, which wrote it; None: it records none.
    """

    contents: TorchContents
    version: str | None = None

    @property
    def is_program(self) -> bool:
        """Whether it can be served: without the class of the model."""
        return self.contents in (TorchContents.SCRIPT, TorchContents.EXPORT)


def read_archive(path: Path) -> TorchArchive | None:
    """Read the names of an archive, and the version that an exported program records; None if it is none of PyTorch."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except (OSError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile):
        return None


def _read(archive: zipfile.ZipFile) -> TorchArchive | None:
    names = archive.namelist()
    members = {name.partition("/")[2]: name for name in names}  # all are in a folder with the name of the model
    if "archive_format" in members:
        programs = [name for member, name in members.items() if re.fullmatch(r"models/[^/]+\.json", member)]
        if programs:
            return TorchArchive(TorchContents.EXPORT, _find_version(archive, programs[0]))
        return TorchArchive(TorchContents.COMPILED)
    if "serialized_exported_program.json" in names:  # of PyTorch before 2.8
        return TorchArchive(TorchContents.EXPORT, _find_version(archive, "serialized_exported_program.json"))
    if "constants.pkl" in members and any(member.startswith("code/") for member in members):
        return TorchArchive(TorchContents.SCRIPT)
    return TorchArchive(TorchContents.WEIGHTS) if {"data.pkl", "version"} <= members.keys() else None


def _find_version(archive: zipfile.ZipFile, name: str) -> str | None:
    if archive.getinfo(name).file_size > _MAX_PROGRAM_BYTES:
        return None
    found = _VERSION.search(archive.read(name))
    return None if found is None else found[1].decode()
