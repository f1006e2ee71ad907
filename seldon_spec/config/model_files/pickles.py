"""Read what a pickle refers to, without executing any of it.

A pickle names the functions and classes that rebuild its objects; unpickling imports and calls them. Here each name is
a placeholder that does nothing, so only the structure is read. The pickle may be compressed, and joblib writes the
contents of arrays between its opcodes.
"""

from __future__ import annotations

import bz2
import lzma
import math
import pickle
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seldon_spec.config.model_files.ubjson import find_ubj_version

MAX_OPCODES = 2_000_000
"""The limit of a scan, which then ends with what was found so far."""

MAX_BYTES = 4 << 30
"""The limit of the contents, after decompression."""

_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_INFLATED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b")
_BZ2 = b"BZh"
_LZMA = (b"\xfd7zXZ\x00", b"\x5d\x00\x00")
_CHUNK = 1 << 18
_MAX_VALUE = 64 << 20
"""Longer values are skipped."""

_MAX_DEPTH = 8
_DTYPE = re.compile(r"([a-zA-Z])([0-9]{1,9})")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]{0,63}")
_SKLEARN_VERSION = "_sklearn_version"
_COLUMN_NAMES = "feature_names_in_"
"""An attribute of estimators that were fitted on a DataFrame, and get one from their runtime."""


@dataclass(slots=True)
class PickleFacts:
    """What a pickle refers to.

    Attributes:
        root: the module and the name of the class of the pickled object, e.g. ``("sklearn.svm._classes", "SVC")``.
        modules: the top-level modules of all names.
        versions: the recorded versions of libraries, by top-level module.
        is_joblib: only joblib can load it.
    """

    root: tuple[str, str] = ("", "")
    modules: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)
    is_joblib: bool = False


def may_be_pickle(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a pickle, which may be compressed."""
    return bool(_PICKLE.match(head) or _INFLATED.match(head)) or head.startswith((_BZ2, *_LZMA))


def scan_pickle(path: Path, head: bytes) -> PickleFacts | None:
    """Read a pickle without executing it; None if the file is none.

    A pickle that ends early, or exceeds a limit, has the facts of the part that was read.

    Args:
        path: of a regular file.
        head: its first bytes.
    """
    facts = PickleFacts(is_joblib=not _PICKLE.match(head))
    try:
        with path.open("rb") as file:
            source = _Source(_decompress(file, head))
            if not _PICKLE.match(source.peek(2)):
                return None
            _scan(source, facts, _Budget())
    except Exception:  # of a damaged or hostile file, of any type
        return facts if facts.root[0] else None
    return facts


class _LimitReached(Exception):
    """The scan ends here."""


@dataclass(slots=True)
class _Budget:
    """The opcodes that may still be read."""

    opcodes: int = MAX_OPCODES


class _Inflater:
    """Decompresses a stream of zlib or gzip."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._inflater = zlib.decompressobj(47)  # either header

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes; none at the end."""
        while True:
            data = self._inflater.unconsumed_tail or self._file.read(_CHUNK)
            found = self._inflater.decompress(data, size)
            if found or not data:
                return found


def _decompress(file: Any, head: bytes) -> Any:
    if _INFLATED.match(head):
        return _Inflater(file)
    if head.startswith(_BZ2):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if head.startswith(_LZMA) else file


class _Source:
    """The bytes of a pickle, up to a limit."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._peeked = b""
        self._left = MAX_BYTES

    def peek(self, size: int) -> bytes:
        self._peeked = self.read(size)
        return self._peeked

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes; none of a value that is too long to keep, which is skipped."""
        self._left -= size
        if size < 0 or self._left < 0:
            raise _LimitReached
        first, self._peeked = self._peeked[:size], self._peeked[size:]
        if size > _MAX_VALUE:
            self._skip(size - len(first))
            return b""
        parts, missing = [first], size - len(first)
        while missing:
            part = self._stream.read(missing)
            if not part:
                raise EOFError
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def readline(self) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self.read(1)
            if len(line) > _CHUNK:
                raise _LimitReached
        return bytes(line)

    def skip(self, size: int) -> None:
        """Skip the contents of an array."""
        self._left -= size
        if size < 0 or self._left < 0:
            raise _LimitReached
        self._skip(size)

    def _skip(self, size: int) -> None:
        while size > 0:
            part = self._stream.read(min(size, _CHUNK))
            if not part:
                raise EOFError
            size -= len(part)


class _Placeholder:
    """An object of a class that the pickle names; it does nothing."""

    module = name = ""

    def __new__(cls, *args: Any, **_kwargs: Any) -> _Placeholder:
        self = super().__new__(cls)
        self.args = args
        return self

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        self.args: tuple[Any, ...]

    def __call__(self, *_args: Any, **_kwargs: Any) -> _Placeholder:
        return _Placeholder()

    def __setitem__(self, _key: Any, _value: Any) -> None:
        """Drop an item."""

    def append(self, _item: Any) -> None:
        """Drop an item."""

    def extend(self, _items: Any) -> None:
        """Drop items."""

    def add(self, _item: Any) -> None:
        """Drop an item."""


class _Scanner(pickle._Unpickler):
    """Runs the opcodes of a pickle on placeholders; the steps of the base class, which is in Python, are replaced."""

    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]

    def __init__(self, source: _Source, facts: PickleFacts, budget: _Budget, depth: int) -> None:
        super().__init__(source)
        self._source, self._facts, self._budget, self._depth = source, facts, budget, depth

    def count(self) -> None:
        self._budget.opcodes -= 1
        if self._budget.opcodes < 0:
            raise _LimitReached

    def find_class(self, module: str, name: str) -> Any:
        facts = self._facts
        facts.root = facts.root if facts.root[0] else (module, name)
        facts.modules.add(module.partition(".")[0])
        facts.is_joblib = facts.is_joblib or module.startswith("joblib.numpy_pickle")
        return type("_Placeholder", (_Placeholder,), {"module": module, "name": name})

    def persistent_load(self, pid: Any) -> Any:  # noqa: ARG002
        return None

    def get_extension(self, code: int) -> None:  # noqa: ARG002 - the registry holds real classes
        self.append(_Placeholder)

    def load_build(self) -> None:
        state, holder = self.stack.pop(), self.stack[-1]
        if isinstance(state, dict):
            self._note_versions(state)
            if _COLUMN_NAMES in state:
                self._facts.modules.add("pandas")
            if isinstance(holder, _Placeholder) and holder.name == "NumpyArrayWrapper":
                self._skip_array(state)

    def load_bytearray8(self) -> None:
        self.append(bytes(self.read(int.from_bytes(self.read(8), "little"))))

    def _note_versions(self, state: Mapping[Any, Any]) -> None:
        version, handle = state.get(_SKLEARN_VERSION), state.get("handle")
        if isinstance(version, str) and _VERSION.fullmatch(version):
            self._facts.versions.setdefault("sklearn", version)
        if isinstance(handle, _Placeholder) and handle.name == "bytearray" and handle.args:
            handle = handle.args[0]
        found = find_ubj_version(handle) if isinstance(handle, bytes) else None
        if found is not None:
            self._facts.versions.setdefault("xgboost", found)

    def _skip_array(self, state: Mapping[Any, Any]) -> None:
        """Skip the contents of an array, which joblib writes after its description."""
        text = state["dtype"].args[0]
        if text.startswith("O"):
            _scan(self._source, self._facts, self._budget, self._depth + 1)
            return
        found = _DTYPE.fullmatch(text)
        if found is None:
            raise _LimitReached
        if state.get("numpy_array_alignment_bytes") is not None:
            self._source.skip(self._source.read(1)[0])
        item_bytes = int(found[2]) * (4 if found[1] == "U" else 1)
        self._source.skip(math.prod(state["shape"]) * item_bytes)


def _counted(step: Callable[[Any], None]) -> Callable[[Any], None]:
    def run(scanner: _Scanner) -> None:
        scanner.count()
        step(scanner)

    return run


_Scanner.dispatch = {code: _counted(step) for code, step in pickle._Unpickler.dispatch.items()}
_Scanner.dispatch[pickle.BUILD[0]] = _counted(_Scanner.load_build)
_Scanner.dispatch[pickle.BYTEARRAY8[0]] = _counted(_Scanner.load_bytearray8)


def _scan(source: _Source, facts: PickleFacts, budget: _Budget, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise _LimitReached
    root = _Scanner(source, facts, budget, depth).load()
    if depth == 0:
        facts.root = (root.module, root.name) if isinstance(root, _Placeholder) else ("builtins", type(root).__name__)
