"""The modules that the image needs besides the imports of the class: of tables, and of a model file."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.folder_files import MODEL_PATH, find_format, find_model_file
from seldon_spec.config.checks.table_rules import needed_by_tables
from seldon_spec.config.model_files.formats import FORMATS
from seldon_spec.config.model_files.model_file import ModelFile
from seldon_spec.config.model_files.urls import SCHEMES, is_url, scheme_of
from seldon_spec.config.paths import exists
from seldon_spec.errors import FieldPath

_OWN = frozenset({"__main__", "__builtin__", "copy_reg"})
"""Names of modules in pickles that need no package; those of Python 2 among them."""


def needed_packages(context: RuleContext) -> Iterator[tuple[FieldPath, str]]:
    """Yield the modules that values of the spec need, with the path of each value."""
    yield from needed_by_tables(context)
    row, file = find_format(context), find_model_file(context)
    modules = set() if row is None else list_needed(file, row.name)
    path = context.values.get(MODEL_PATH)
    remote = SCHEMES.get(scheme_of(path)) if isinstance(path, str) and is_url(path) else None
    if remote is not None:
        modules.add(remote)
    for module in sorted(modules):
        if not exists(context.folder / module) and not exists(context.folder / f"{module}.py"):
            yield MODEL_PATH, module


def list_needed(file: ModelFile | None, format_name: str) -> set[str]:
    """Return the top-level modules that loading a model needs.

    Args:
        file: what is known of the file; None: nothing.
        format_name: of the model.
    """
    found = set() if file is None else file.modules - sys.stdlib_module_names - _OWN
    row = FORMATS[format_name]
    return {row.module, *row.needs, *found}
