"""Check that the folders of a graph's components are in the build context of its image, the folder of the graph."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from seldon_spec.config.loaded_spec import LoadedSpec
from seldon_spec.config.paths import is_folder, leaves
from seldon_spec.errors import Diagnostic, FieldPath, Severity


def find_outside(loaded: LoadedSpec, root: Path, place: str = "", at: FieldPath = ()) -> Iterator[Diagnostic]:
    """Warn about each component whose folder is not in the image, the components of nested graphs included.

    It is a warning, because the graph can be served without an image; the commands that build one refuse it.

    Args:
        loaded: a graph.
        root: the folder of the served spec.
        place: the path from there to the folder of the graph.
        at: the path of the graph within the served spec.
    """
    for name, component in loaded.components.items():
        if component.loaded is None or component.entry.get("url") is not None:
            continue
        layered, path = component.loaded.layered, ("components", name)
        folder = layered.folder
        if folder == loaded.layered.folder:
            inside = place
        else:
            given = str(component.entry.get("path") or name)
            inside = posixpath.normpath(posixpath.join(place, given))
            if not is_folder(loaded.layered.folder / given):  # the file of a spec
                inside = posixpath.dirname(inside)
            if PurePosixPath(given).is_absolute() or inside.split("/")[0] == os.pardir or leaves(root, folder):
                yield _outside(loaded, folder, name, (*at, *path))
                continue
        yield from find_outside(component.loaded, root, inside, (*at, *path))


def _outside(loaded: LoadedSpec, folder: Path, name: str, at: FieldPath) -> Diagnostic:
    origins = loaded.layered.values.origins
    keys: tuple[FieldPath, ...] = (("components", name, "path"), ("components", name), ("graph",))
    document = loaded.layered.document
    return Diagnostic(
        "graph-outside-folder",
        f"the folder of {name} is outside the folder of the graph, from which the image is built",
        next((origins[key] for key in keys if key in origins), document.origin(document.start())),
        Severity.WARNING,
        at,
        found=str(folder),
        allowed="a relative path that does not leave the folder of the graph",
        help="move the folder, put the graph's file into a folder around both, or serve the component and set url",
    )
