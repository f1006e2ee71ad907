"""The inputs of a request as they are declared: named, ordered, of the declared datatypes; or all of its problems."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from seldon_spec.config.contract import TensorSpec
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.contract.examples import ContractKind, kind_of
from seldon_spec.inference.contract.names import check_names, order_columns
from seldon_spec.inference.contract.problems import Problems, ValueProblems, show
from seldon_spec.inference.contract.quick import QuickCheck
from seldon_spec.inference.contract.rules import ValueRule, rule_of
from seldon_spec.inference.contract.sources import Source, array_source, column_sources, has_content, tensor_source
from seldon_spec.inference.contract.values import convert_array, convert_values, missing_values
from seldon_spec.inference.datatypes import BYTES, widen_bf16
from seldon_spec.inference.image_files import is_image_type
from seldon_spec.inference.message import Message, PayloadType, Tensor

_VARIABLE = -1


class ContractReader:
    """Reads requests of declared inputs.

    Args:
        inputs: as declared, at least one.
        checks_values: whether ranges, choices and missing values are checked too; otherwise names, datatypes and
            shapes only.
        is_lenient: whether tensors of numbers may have another datatype of numbers, if all values fit, otherwise only
            one whose values all fit; and whether an input of shape [N] may be sent as a column, [N, 1].

    Attributes:
        quick_check: returns True if ``read`` would return the given message; None: there is no such check.
    """

    def __init__(self, inputs: Sequence[TensorSpec], *, checks_values: bool = True, is_lenient: bool = False) -> None:
        self._kind = kind_of(inputs)
        self._inputs = {tensor.name: tensor for tensor in inputs}
        self._rules = {tensor.name: rule_of(tensor) for tensor in inputs}
        self._checks_values = checks_values
        self._is_lenient = is_lenient
        self._columns: list[str] = []
        if self._kind is ContractKind.COLUMNS:
            self._input = inputs[0]
            self._columns = inputs[0].column_names
            self._column_rules = [rule_of(inputs[0], column) for column in inputs[0].columns]
        rules = self._column_rules if self._columns else [rule_of(inputs[0])]
        quick = QuickCheck(inputs[0], rules) if len(inputs) == 1 and checks_values else None
        self.quick_check = None if quick is None or not quick.is_usable else quick.accepts
        self._optional = frozenset(tensor.name for tensor in inputs if tensor.optional)

    def read(self, message: Message) -> Message:
        """Return the message of a request with the inputs as they are declared.

        Returns:
            A message of tensors, or the given message with one array. Tensors are in the declared order; optional ones
            may be absent. Arrays have the declared datatypes; elements of BYTES are text or bytes, decoded by their
            content type. Missing values are NaN, None in BYTES, and hidden by a mask in arrays of integers and
            booleans. ``names`` are those of the columns of a single input.

        Raises:
            PayloadError: the request does not match the declared inputs; it lists the problems.
        """
        if self.quick_check is not None and self.quick_check(message):
            return message
        problems = Problems()
        if self._kind is ContractKind.COLUMNS:
            tensors = self._read_matrix(message, problems)
        else:
            tensors = self._read_tensors(self._find_sources(message, problems), problems)
        problems.check()
        return replace(message, payload_type=PayloadType.TENSORS, payload=tensors, names=[*self._columns], rows=None)

    def fill_absent(self, message: Message) -> Message:
        """Return a message of ``read`` with a column of missing values for each absent column of a table."""
        if self._kind is not ContractKind.TABLE or len(message.payload) == len(self._inputs):
            return message
        tensors = message.payload
        found = {tensor.name: tensor for tensor in tensors}
        rows = len(tensors[0].array) if tensors else 0
        filled = []
        for name, tensor in self._inputs.items():
            if name not in found:
                array = missing_values(rows, self._rules[name]).reshape((rows, *tensor.shape[1:]))
                found[name] = Tensor(name, array, tensor.datatype)
            filled.append(found[name])
        return replace(message, payload=filled)

    # One input with columns

    def _read_matrix(self, message: Message, problems: Problems) -> list[Tensor]:
        columns = self._find_named_columns(message, problems)
        if columns is None:
            source = self._find_only(message, problems)
            array = None if source is None else self._read_rows(source, message, problems)
        else:
            array = self._join_columns(columns, problems)
        return [] if array is None else [Tensor(self._input.name, array, self._input.datatype)]

    def _find_named_columns(self, message: Message, problems: Problems) -> dict[str, Source] | None:
        """Return the columns of a request that sends each by its name; None if it sends rows."""
        payload = message.payload

        def find_known(names: Collection[str]) -> list[str]:
            return check_names(names, self._columns, frozenset(), "column", problems)

        if message.payload_type is PayloadType.TENSORS:
            tensors = {tensor.name: tensor for tensor in payload}
            if len(tensors) == 1 and (self._input.name in tensors or tensors.keys().isdisjoint(self._columns)):
                return None
            known = {name: tensors[name] for name in find_known(tensors)}
            return self._check_datatypes(known, self._rules, problems)
        if message.payload_type is PayloadType.JSON:
            return column_sources(payload, find_known, frozenset(), problems)
        return None

    def _find_only(self, message: Message, problems: Problems) -> Source | None:
        """Return the values of a request with one array; None if it has none, which is a problem."""
        if message.payload_type is PayloadType.TENSORS:
            only = {self._input.name: message.payload[0]}
            return self._check_datatypes(only, self._rules, problems).get(self._input.name)
        source = array_source(message)
        if source is None or source.is_single:
            problems.add(f"the request holds no array; send rows of {_count(self._columns)}: {_list(self._columns)}")
            return None
        return source

    def _read_rows(self, source: Source, message: Message, problems: Problems) -> Array | None:
        width = len(self._columns)
        if source.shape == (0,) and not source.is_exact:  # no rows
            source.shape = (0, width)
        if len(source.shape) != 2 or (source.is_exact and source.shape[1] != width):
            problems.add(_wrong_shape(self._input, source.shape))
            return None
        places = order_columns(message.names, self._columns, frozenset(), source.shape[1], problems)
        if places is None:
            return None
        columns = {
            name: source.values[place :: source.shape[1]]
            for name, place in zip(self._columns, places, strict=True)
            if place is not None
        }
        return self._convert_columns(columns, source.shape[0], problems)

    def _join_columns(self, columns: Mapping[str, Source], problems: Problems) -> Array | None:
        if not _are_columns(columns, problems):
            return None
        values = {name: source.values for name, source in columns.items()}
        return self._convert_columns(values, len(next(iter(values.values()), ())), problems)

    def _convert_columns(self, columns: Mapping[str, Any], count: int, problems: Problems) -> Array | None:
        """Return the array; None if there is any problem, as a missing column is."""
        converted = [
            self._convert(columns[name], rule, ValueProblems(problems, rule.name))
            for name, rule in zip(self._columns, self._column_rules, strict=True)
            if name in columns
        ]
        if problems.count:
            return None
        return np.ma.stack(converted, axis=1) if _has_mask(converted) else _stack(converted, count)

    # Inputs by name

    def _find_sources(self, message: Message, problems: Problems) -> dict[str, Source]:
        """Return the values of each input by its name; unknown and missing inputs are problems."""
        payload, names = message.payload, list(self._inputs)
        is_tensors = message.payload_type is PayloadType.TENSORS
        what = "column" if self._kind is ContractKind.TABLE and not is_tensors else "input"

        def find_known(given: Collection[str]) -> list[str]:
            return check_names(given, names, self._optional, what, problems)

        if is_tensors:
            found = {tensor.name: tensor for tensor in payload}
            if len(names) == 1 and len(found) == 1:  # whatever the client calls it
                found = dict(zip(names, found.values(), strict=True))
            known = {name: found[name] for name in find_known(found)}
            return self._check_datatypes(known, self._rules, problems)
        if message.payload_type is PayloadType.JSON:
            return column_sources(
                payload, find_known, self._optional, problems, is_table=self._kind is ContractKind.TABLE
            )
        source = array_source(message)
        if source is None or (source.is_single and len(names) > 1):
            problems.add(f"the request holds no value of the inputs; they are {_list(names)}")
            return {}
        if len(names) == 1:
            return {names[0]: source}
        return self._split_table(source, message, problems)

    def _split_table(self, source: Source, message: Message, problems: Problems) -> dict[str, Source]:
        """Return the columns of the rows of a request by the names of inputs."""
        names = list(self._inputs)
        if source.shape == (0,):  # no rows
            source.shape = (0, len(message.names or names))
        if len(source.shape) != 2:
            problems.add(
                f"the shape {list(source.shape)} is not that of rows; send a list for each row, with {_list(names)}"
            )
            return {}
        order = order_columns(message.names, names, self._optional, source.shape[1], problems)
        if order is None:
            return {}
        width = source.shape[1]
        return {
            name: Source((source.shape[0],), source.values[place::width])
            for name, place in zip(names, order, strict=True)
            if place is not None
        }

    def _read_tensors(self, sources: Mapping[str, Source], problems: Problems) -> list[Tensor]:
        if self._kind is ContractKind.TABLE and not _are_columns(sources, problems):
            return []
        tensors = []
        for name, tensor in self._inputs.items():
            source = sources.get(name)
            if source is None:
                continue
            shape = self._fit_shape(source, tensor, problems)
            if shape is None:
                continue
            is_column = self._kind is ContractKind.TABLE
            found = ValueProblems(problems, name, None if is_column else shape)
            rule = self._rules[name]
            if source.content_type is not None and not is_image_type(rule.content_type):
                rule = replace(rule, content_type=source.content_type)
            array = self._convert(source.values, rule, found).reshape(shape)
            content_type = None
            if rule.datatype is BYTES:
                content_type = None if rule.content_type is None else "bytes"  # decoded
            tensors.append(Tensor(name, array, tensor.datatype, source.parameters, content_type))
        return tensors

    def _fit_shape(self, source: Source, tensor: TensorSpec, problems: Problems) -> tuple[int, ...] | None:
        """Return the shape of an input's array; None if it does not fit, which is a problem."""
        given, declared = source.shape, tensor.shape
        if fits_shape(given, declared):
            return given
        if self._is_lenient and declared == (_VARIABLE,) and len(given) == 2 and given[1] == 1:
            return given[:1]
        if not source.is_exact:
            if given == (0,) and declared[:1] == (_VARIABLE,):  # nothing
                return (0, *(max(size, 0) for size in declared[1:]))
            if len(given) == 1 and len(declared) == 2 and declared[1] == 1:
                return (given[0], 1)  # a column
            if source.is_single:  # a text or a file
                shape = tuple(1 if size == _VARIABLE else size for size in declared)
                if all(size == 1 for size in shape):
                    return shape
        problems.add(_wrong_shape(tensor, given))
        return None

    # Values

    def _check_datatypes(
        self, tensors: Mapping[str, Tensor], rules: Mapping[str, ValueRule], problems: Problems
    ) -> dict[str, Source]:
        """Return the values of tensors whose datatype can be cast; that of any other is a problem.

        Args:
            tensors: by the name of their input or column.
            rules: by the same names; the rule of the only input is that of its columns.
            problems: get the wrong datatypes and content types.
        """
        sources = {}
        for name, tensor in tensors.items():
            rule = rules.get(name) or rules[self._input.name]
            source = tensor_source(tensor)
            if not source.can_be(rule, casts_numbers=self._is_lenient):
                problems.add(f"input {name}: the datatype {source.datatype} is not {rule.datatype.name}")
            elif not has_content(source.content_type, rule):
                problems.add(f"input {name}: the content type {show(source.content_type)} is not {rule.content_type}")
            else:
                if source.datatype == "BF16" and rule.datatype.name != "BF16":
                    source.values = widen_bf16(source.values)
                sources[name] = source
        return sources

    def _convert(self, values: Any, rule: ValueRule, problems: ValueProblems) -> Array:
        convert: Any = convert_array if isinstance(values, np.ndarray) else convert_values
        array: Array = convert(values, rule, problems)
        if self._checks_values:
            rule.check(array, problems)
        return array


def _are_columns(columns: Mapping[str, Source], problems: Problems) -> bool:
    """Return whether values are columns of one length; otherwise that is a problem."""
    sources = columns.values()
    if any(len(source.shape) not in (1, 2) or source.shape[1:] not in ((), (1,)) for source in sources):
        problems.add("a column has more than one dimension")
        return False
    lengths = {source.shape[0]: name for name, source in reversed(list(columns.items()))}
    if len(lengths) > 1:
        shown = [f"{show(name)} has {length}" for length, name in sorted(lengths.items())[:5]]
        problems.add(f"the columns differ in length: {', '.join(shown)}")
    return len(lengths) < 2


def _stack(columns: Sequence[Array], count: int) -> Array:
    joined: Array = np.empty((count, len(columns)), columns[0].dtype)
    for index, column in enumerate(columns):
        joined[:, index] = column
    return joined


def _has_mask(arrays: Sequence[Array]) -> bool:
    return any(isinstance(array, np.ma.MaskedArray) for array in arrays)


def fits_shape(shape: Sequence[int], declared: Sequence[int]) -> bool:
    """Return whether an array has a declared shape, in which -1 is any size."""
    return len(shape) == len(declared) and all(
        wanted in (_VARIABLE, size) for size, wanted in zip(shape, declared, strict=True)
    )


def _wrong_shape(tensor: TensorSpec, shape: Sequence[int]) -> str:
    return f"input {tensor.name}: the shape {list(shape)} does not match {list(tensor.shape)}"


def _count(names: Sequence[str]) -> str:
    return f"{len(names)} column{'' if len(names) == 1 else 's'}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
