"""Find the specs of a repository: every seldon.yaml below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from seldon_spec.cli.exit_codes import WrongArgument
from seldon_spec.config.model import SPEC_FILE

MAX_LEVELS = 16
MAX_FOLDERS = 20_000
MAX_SPECS = 1000
SKIPPED = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "venv"})


class SpecSearch:
    """A search below one folder. Links, hidden folders, environments of Python and ``SKIPPED`` are not searched.

    Attributes:
        root: the folder.
        too_deep: the folders that are not searched, because they are ``MAX_LEVELS`` below the root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.too_deep: list[Path] = []

    def find_folders(self) -> list[Path]:
        """Return the folders with a spec, sorted by path.

        Raises:
            WrongArgument: there are too many folders or specs.
        """
        found = []
        for count, (folder, names) in enumerate(self._walk(), 1):
            if count > MAX_FOLDERS:
                raise _too_many(self.root, f"more than {MAX_FOLDERS} folders")
            if SPEC_FILE in names:
                found.append(folder)
            if len(found) > MAX_SPECS:
                raise _too_many(self.root, f"more than {MAX_SPECS} files named {SPEC_FILE}")
        return found

    def _walk(self) -> Iterator[tuple[Path, list[str]]]:
        """Yield each folder with the names of its files."""
        for text, folders, files in os.walk(self.root):
            folder = Path(text)
            inner = [name for name in folders if name[0] != "." and name not in SKIPPED]
            folders[:] = sorted(name for name in inner if not (folder / name / "pyvenv.cfg").exists())
            if len(folder.relative_to(self.root).parts) == MAX_LEVELS:
                self.too_deep += (folder / name for name in folders)
                folders.clear()
            yield folder, files


def _too_many(root: Path, what: str) -> WrongArgument:
    return WrongArgument(f"{root} contains {what}", f"name folders inside {root}")
