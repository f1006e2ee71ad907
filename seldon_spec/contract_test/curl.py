"""A request as a curl command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from seldon_spec.contract_test.case import Case
from seldon_spec.contract_test.encoder import Encoder, Unencodable, dump
from seldon_spec.contract_test.senders import v1_path, v2_path
from seldon_spec.contract_test.v1_encoders import message_tree
from seldon_spec.contract_test.v2_encoders import infer_tree
from seldon_spec.inference.message import Operation


@dataclass(frozen=True, slots=True)
class CurlWriter:
    """Writes curl commands.

    Attributes:
        base: the URL of the server.
        model: its name.
        operation: of Seldon's protocol.
        has_token: whether requests have a bearer token.
    """

    base: str
    model: str
    operation: Operation
    has_token: bool = False

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
        path = v2_path(self.model) if is_v2 else v1_path(self.operation)
        token = ' -H "Authorization: Bearer $TOKEN"' if self.has_token else ""
        data = shlex.quote(body.decode("utf-8", "replace"))
        return f"curl -s {self.base}{path} -H 'Content-Type: application/json'{token} -d {data}"
