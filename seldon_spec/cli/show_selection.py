"""Which values of a spec ``show`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seldon_spec.cli.exit_codes import WrongArgument
from seldon_spec.cli.show import Leaf, leaves
from seldon_spec.config.build_spec import plain
from seldon_spec.config.model import Spec
from seldon_spec.config.schema.lookup import field_schema, join
from seldon_spec.config.schema.suggest import guess
from seldon_spec.errors import FieldPath, OriginKind


def select(spec: Spec, keys: Sequence[FieldPath], *, is_changed: bool) -> list[Leaf]:
    """Return values with their paths and origins, in the order of the keys of the file.

    Args:
        spec: the spec.
        keys: of values, or of sections; empty: all.
        is_changed: leave out values that are equal to the defaults.

    Raises:
        WrongArgument: no value has such a key.
    """
    found = list(leaves(spec))
    paths = [path for path, _, _ in found]
    for key in keys:
        if not any(_is_below(path, key) for path in paths):
            raise WrongArgument(f"--only {join(key)}: the spec has no such key", _suggest(key, paths))
    chosen = [leaf for leaf in found if not keys or any(_is_below(leaf[0], key) for key in keys)]
    return [leaf for leaf in chosen if _is_set(leaf)] if is_changed else chosen


def _is_below(path: FieldPath, key: FieldPath) -> bool:
    return path[: len(key)] == key


def _suggest(key: FieldPath, paths: Iterable[FieldPath]) -> str:
    sections = {join(path[:length]): None for path in paths for length in range(1, len(path) + 1)}
    match = guess(join(key), sections)
    tops = ", ".join(dict.fromkeys(path[0] for path in paths))
    return f"one of {tops}, or a key below them" if match is None else f'did you mean "{match}"?'


def _is_set(leaf: Leaf) -> bool:
    """Return whether a value is set somewhere and is not the default."""
    path, value, origin = leaf
    schema = field_schema(path) or {}
    return origin.kind is not OriginKind.DEFAULT and ("default" not in schema or plain(value) != schema["default"])
