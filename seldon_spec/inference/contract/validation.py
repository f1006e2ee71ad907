"""Request validation by ``server.validate_requests``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from seldon_spec.config.contract import TensorSpec
from seldon_spec.errors import PayloadError
from seldon_spec.inference.contract.reader import ContractReader
from seldon_spec.inference.message import Message, PayloadType, Tensor

logger = logging.getLogger(__name__)

Mode = Literal["off", "warn", "reject"]


class RequestValidation:
    """Checks requests of declared inputs.

    Args:
        inputs: as declared, at least one.
        mode: what happens to a request that does not match them.
        is_lenient: see ``ContractReader``.
    """

    def __init__(self, inputs: Sequence[TensorSpec], mode: Mode, *, is_lenient: bool = False) -> None:
        self._reader = ContractReader(inputs, is_lenient=is_lenient)
        self._structure = ContractReader(inputs, checks_values=False, is_lenient=is_lenient)
        self._only = inputs[0]
        self._mode = mode

    @property
    def is_off(self) -> bool:
        """Whether no request is checked."""
        return self._mode == "off"

    @property
    def quick_check(self) -> Callable[[Message], bool] | None:
        """What accepts most requests of the only input; see ``QuickCheck.accepts``. None: there is no such check."""
        return None if self.is_off else self._reader.quick_check

    def read(self, message: Message) -> Message | None:
        """Return the message of a request with the inputs as they are declared; see ``ContractReader.read``.

        Returns:
            None if the request is not checked, or if it has problems that are logged only.

        Raises:
            PayloadError: the request does not match the declared inputs, and is rejected.
        """
        if self._mode == "reject":
            return self._reader.read(message)
        for tensor in message.payload if message.payload_type is PayloadType.TENSORS else ():
            if tensor.wrong is not None:
                raise tensor.wrong
        if self._mode == "warn":
            try:
                return self._reader.read(message)
            except PayloadError as error:
                logger.warning("server.validate_requests: %s", error)
        return None

    def read_table(self, message: Message, *, needs_types: bool = False) -> Message | None:
        """Return the result of ``read``, with every column of a table, for a method that gets all of them as one.

        Args:
            message: of the request.
            needs_types: whether the method needs the declared names, datatypes and shapes, whatever the mode.

        Raises:
            PayloadError: the request does not match the declared inputs.
        """
        read = self.read(message)
        if read is None and needs_types:
            read = self._structure.read(message)
        return None if read is None else self._reader.fill_absent(read)

    def read_tensors(self, message: Message) -> Message:
        """Return the message of a request as one of tensors for a method that needs them, whatever the mode.

        Raises:
            PayloadError: the request does not match the declared inputs; unless such requests are rejected, only their
                names, datatypes and shapes count.
        """
        read = self.read(message) or self._structure.read(message)
        if read.payload_type is PayloadType.TENSORS:
            return read
        tensor = Tensor(self._only.name, read.payload, self._only.datatype)
        return replace(read, payload_type=PayloadType.TENSORS, payload=[tensor])
