"""A request as a command: curl, or ``seldon-spec predict`` for a server that is tested over gRPC only."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from urllib.parse import quote

from seldon_spec.contract_test.case import Case
from seldon_spec.contract_test.encoder import Encoder, Unencodable, dump
from seldon_spec.contract_test.senders import v1_method, v1_path, v2_path
from seldon_spec.contract_test.v1_encoders import message_tree
from seldon_spec.contract_test.v2_encoders import infer_tree
from seldon_spec.inference.message import Operation


@dataclass(frozen=True, slots=True)
class CurlWriter:
    """Writes commands that send a request.

    Attributes:
        base: the URL of the server: of REST, or of gRPC if that is the only one.
        model: its name.
        operation: of Seldon's protocol.
        has_token: whether requests have a bearer token.
        grpc_options: of ``seldon-spec predict``, for the URL of gRPC.
    """

    base: str
    model: str
    operation: Operation
    has_token: bool = False
    grpc_options: str = ""

    def write(self, case: Case, encoder: Encoder) -> str:
        """Return the command that sends a case in JSON; that of the other protocol if this one has no form for it."""
        form = getattr(encoder, "form", "ndarray")
        is_v2 = encoder.protocol == "v2"
        for v2 in (is_v2, not is_v2):
            try:
                tree = infer_tree(case) if v2 else message_tree(case, form)
            except Unencodable:
                continue
            return self.write_body(dump(tree), is_v2=v2)
        return ""

    def write_body(self, body: bytes, *, is_v2: bool) -> str:
        """Return the command that sends a body."""
        if self.base.startswith("grpc"):
            return self._write_grpc(body, is_v2=is_v2)
        path = v2_path(self.model) if is_v2 else v1_path(self.operation)
        token = ' -H "Authorization: Bearer $TOKEN"' if self.has_token else ""
        data = shlex.quote(body.decode("utf-8", "replace"))
        return f"curl -s {self.base}{path} -H 'Content-Type: application/json'{token} -d {data}"

    def _write_grpc(self, body: bytes, *, is_v2: bool) -> str:
        data = shlex.quote(body.decode())
        if not is_v2 and self.operation is not Operation.PREDICT:  # the command has no other operation
            return f"{data} as the message of {v1_method(self.operation)} at {self.base}"
        url = f"{self.base}/v2/models/{quote(self.model, safe='')}" if is_v2 else self.base
        return f"seldon-spec predict {data} --at {url}{self.grpc_options}"
