"""Workers are replaced while grpcio's clients call: no call is lost that has reached the server."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

PREDICT = "/seldon.protos.Model/Predict"
RELOADS = 4
THREADS = 6

SOURCE = """
class Served:
    def predict(self, X, names):
        with open({path!r}, "a") as file:
            file.write(X + "\\n")
        return X
"""


class Caller(threading.Thread):
    """Calls without end, each time with another text.

    Attributes:
        texts: of the calls that have succeeded.
        errors: of those that have failed.
    """

    def __init__(self, name: str, channel: Any) -> None:
        super().__init__(name=name)
        self._call = channel.unary_unary(PREDICT, None, None)
        self.is_over = threading.Event()
        self.texts: list[str] = []
        self.errors: dict[str, grpc.RpcError] = {}

    def run(self) -> None:
        number = 0
        while not self.is_over.is_set():
            number += 1
            text = f"{self.name}-{number}"
            try:
                body = self._call(SeldonMessage(strData=text).SerializeToString(), timeout=20)
            except grpc.RpcError as error:
                self.errors[text] = error
            else:
                assert SeldonMessage.FromString(body).strData == text
                self.texts.append(text)


@pytest.mark.parametrize("retries", [1, 0], ids=["with retries", "without retries"])
def test_no_call_that_has_reached_the_server_is_lost(beside: Any, tmp_path: Path, retries: int) -> None:
    """Without retries grpcio itself fails the calls that it begins in the moment in which a GOAWAY comes.

    It never sends those; the model must not have seen them.
    """
    seen = tmp_path / "seen"
    beside.write_class(SOURCE.format(path=str(seen)))
    beside.write_spec()
    server = beside.start().wait_until_ready()
    options = [("grpc.enable_retries", retries), ("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options) for _ in range(2)]
    callers = [Caller(str(index), channels[index % 2]) for index in range(THREADS)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(RELOADS):
            with server.watch() as before:
                server.process.send_signal(signal.SIGHUP)
                server.wait_for("is ready in")
                assert before.all_end()
    finally:
        for caller in callers:
            caller.is_over.set()
        for caller in callers:
            caller.join()
        for channel in channels:
            channel.close()
    assert server.stop() == 0
    texts = [text for caller in callers for text in caller.texts]
    errors = {text: error for caller in callers for text, error in caller.errors.items()}
    assert sorted(seen.read_text().split()) == sorted(texts)
    if retries:
        assert not errors
    for error in errors.values():
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "the server is shutting down" in str(error)
