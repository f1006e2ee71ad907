"""What the protocols of a contract test share: requests, the interface of an encoder, and values in JSON."""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seldon_spec.contract_test.case import BASE64_TYPES, Case, Values
from seldon_spec.contract_test.result import BadResponse, Result


class Unencodable(Exception):
    """A protocol has no form for a case."""


@dataclass(frozen=True, slots=True)
class Request:
    """An encoded request.

    Attributes:
        json_size: the length of the JSON at the start of a body with binary data; None: there is no binary data.
    """

    body: bytes
    json_size: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the request over HTTP."""
        if self.json_size is None:
            return {"Content-Type": "application/json"}
        return {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(self.json_size)}


@dataclass(frozen=True)
class Encoder(ABC):
    """One encoding of one protocol.

    Attributes:
        name: of the channel, for reports.
        protocol: ``v1`` or ``v2``.
        is_grpc: the transport.
    """

    name: str
    protocol: str
    is_grpc: bool = False

    @abstractmethod
    def encode(self, case: Case) -> Request:
        """Return the request.

        Raises:
            Unencodable: the protocol has no form for the values.
        """

    @abstractmethod
    def decode(self, body: bytes, headers: Mapping[str, str]) -> Result:
        """Return the outputs of a response of the status OK; the names of the headers are in lower case.

        Raises:
            BadResponse: it is malformed.
        """

    @abstractmethod
    def list_malformed(self, example: Case) -> list[tuple[str, Request]]:
        """Return what is no request of the protocol at all: a description and the request of each."""


def to_json(item: Any, values: Values) -> Any:
    """Return an item as JSON has it: bytes as base64 text if the content type says so."""
    if not isinstance(item, bytes):
        return item
    if (values.content_type or "").startswith(BASE64_TYPES):
        return base64.b64encode(item).decode()
    raise Unencodable("bytes have no form in JSON")


def is_float(datatype: str) -> bool:
    """Return whether the values of a datatype are floats."""
    return datatype in ("FP16", "BF16", "FP32", "FP64")


def dump(tree: Any) -> bytes:
    """Return JSON text."""
    return json.dumps(tree, ensure_ascii=False).encode()


def load_json(body: bytes) -> Any:
    """Return the JSON value of a response.

    Raises:
        BadResponse: it is not JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadResponse(f"the response is not JSON: {error}") from error
