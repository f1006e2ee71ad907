"""The protocol's messages: the descriptor set agrees with its source, and lives beside other people's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from seldon_spec.proto import FILE, POOL, SeldonMessage, read_descriptor_set

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "schemas" / FILE


def _described() -> dict[str, dict[str, int]]:
    """Every message and enum of our file, with the number of each member."""
    (file,) = [file for file in read_descriptor_set().file if file.name == FILE]
    found: dict[str, dict[str, int]] = {}
    for message in file.message_type:
        found[message.name] = {field.name: field.number for field in message.field}
        for enum in message.enum_type:
            found[enum.name] = {value.name: value.number for value in enum.value}
    return found


def _written() -> dict[str, dict[str, int]]:
    """The same, read from the schema's text by a reader of its own."""
    found: dict[str, dict[str, int]] = {}
    open_blocks: list[str] = []
    for line in SCHEMA.read_text().splitlines():
        if block := re.match(r"\s*(message|enum|oneof|service)\s+(\w+)", line):
            open_blocks.append(block[2] if block[1] in ("message", "enum") else open_blocks[-1] if open_blocks else "")
            if block[1] in ("message", "enum"):
                found[block[2]] = {}
        elif line.strip() == "}":
            open_blocks.pop()
        elif member := re.search(r"(\w+) = (\d+)( \[.*\])?;", line):
            found[open_blocks[-1]][member[1]] = int(member[2])
    return found


def test_descriptor_set_has_the_members_and_numbers_of_the_schema() -> None:
    assert _described() == _written()


def test_regenerated_descriptor_is_the_committed_one(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    fresh = tmp_path / "fresh.binpb"
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
        "import make_proto; make_proto.compile_descriptor_set(Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", code, str(ROOT / "scripts"), str(fresh)], check=True)
    ours = {file.name: file for file in read_descriptor_set().file}
    made = {file.name: file for file in type(read_descriptor_set()).FromString(fresh.read_bytes()).file}
    assert made[FILE] == ours[FILE]
    assert list(made) == list(ours)


def test_the_pool_is_private() -> None:
    from google.protobuf import descriptor_pool

    assert SeldonMessage.DESCRIPTOR.full_name == "seldon.protos.SeldonMessage"
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("seldon.protos.SeldonMessage")
    assert POOL is not descriptor_pool.Default()


def test_another_file_may_register_the_same_names() -> None:
    """Like an installed seldon_core: its generated module puts seldon.protos.SeldonMessage into the default pool."""
    code = """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
file = descriptor_pb2.FileDescriptorProto(name="proto/prediction.proto", package="seldon.protos", syntax="proto3")
message = file.message_type.add(name="SeldonMessage")
message.field.add(name="strData", number=5, type=9, label=1)
FIRST
descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
SECOND
theirs = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("seldon.protos.SeldonMessage"))
from seldon_spec.proto import SeldonMessage
assert theirs is not SeldonMessage
assert SeldonMessage.FromString(theirs(strData="x").SerializeToString()).strData == "x"
"""
    for position in ("FIRST", "SECOND"):
        text = code.replace(position, "import seldon_spec.proto").replace("FIRST", "").replace("SECOND", "")
        subprocess.run([sys.executable, "-c", text], check=True)
