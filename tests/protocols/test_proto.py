"""The protocol's messages: the descriptor set agrees with its source, and lives beside other people's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.protocols.open_inference_v2 import proto as open_inference
from seldon_spec.protocols.seldon_v1 import proto as seldon

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = {seldon.FILE: seldon, open_inference.FILE: open_inference}
FILES = {seldon.FILE: seldon, "tensor.proto": seldon, open_inference.FILE: open_inference}


def _described(name: str) -> dict[str, dict[str, int]]:
    """Every message and enum of a file of ours, with the number of each member."""
    (file,) = [file for file in FILES[name].read_descriptor_set().file if file.name == name]
    found: dict[str, dict[str, int]] = {}

    def note(holder: Any) -> None:
        for enum in holder.enum_type:
            found[enum.name] = {value.name: value.number for value in enum.value}
        for message in getattr(holder, "message_type", ()) or getattr(holder, "nested_type", ()):
            if not message.options.map_entry:
                found[message.name] = {field.name: field.number for field in message.field}
                note(message)

    note(file)
    return found


def _written(name: str) -> dict[str, dict[str, int]]:
    """The same, read from the schema's text by a reader of its own."""
    found: dict[str, dict[str, int]] = {}
    open_blocks: list[str] = []
    for line in (ROOT / "schemas" / name).read_text().splitlines():
        if block := re.match(r"\s*(message|enum|oneof|service)\s+(\w+)", line):
            open_blocks.append(block[2] if block[1] in ("message", "enum") else open_blocks[-1] if open_blocks else "")
            if block[1] in ("message", "enum"):
                found[block[2]] = {}
        elif line.strip() == "}":
            open_blocks.pop()
        elif member := re.search(r"(\w+) = (\d+)( \[.*\])?;", line):
            found[open_blocks[-1]][member[1]] = int(member[2])
    return found


@pytest.mark.parametrize("name", FILES)
def test_descriptor_set_has_the_members_and_numbers_of_the_schema(name: str) -> None:
    assert _described(name) == _written(name)


@pytest.mark.parametrize(("schema", "package"), SCHEMAS.items(), ids=SCHEMAS.keys())
def test_regenerated_descriptor_is_the_committed_one(schema: str, package: Any, tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    fresh = tmp_path / "fresh.binpb"
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
        "import make_proto; make_proto.compile_descriptor_set(sys.argv[3], Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", code, str(ROOT / "scripts"), str(fresh), schema], check=True)
    ours = {file.name: file for file in package.read_descriptor_set().file}
    made = {file.name: file for file in type(package.read_descriptor_set()).FromString(fresh.read_bytes()).file}
    assert list(made) == list(ours)
    names = [name for name in made if name in FILES]  # the others are those of the installed protobuf
    assert [made[name] for name in names] == [ours[name] for name in names]
    assert schema in names


def test_the_packages_of_other_clients_may_register_the_same_messages() -> None:
    """tritonclient and kserve register the package ``inference`` in the default pool."""
    code = """
from google.protobuf import descriptor_pool
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, read_descriptor_set
for file in read_descriptor_set().file:
    file.name = "grpc_service.proto"
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
theirs = descriptor_pool.Default().FindMessageTypeByName("inference.ModelInferRequest")
assert theirs is not ModelInferRequest.DESCRIPTOR
print(ModelInferRequest(id="registered").id)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "registered\n", done.stderr


def test_the_pool_is_private() -> None:
    """In a process of its own: what stands in for the old package may register its names in another test."""
    code = """
from google.protobuf import descriptor_pool
from seldon_spec.protocols.seldon_v1.proto import POOL, SeldonMessage
assert SeldonMessage.DESCRIPTOR.full_name == "seldon.protos.SeldonMessage"
assert POOL is not descriptor_pool.Default()
try:
    descriptor_pool.Default().FindMessageTypeByName("seldon.protos.SeldonMessage")
except KeyError:
    print("private")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "private\n", done.stderr


def test_an_installed_tensorflow_may_register_its_tensor() -> None:
    code = """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
import seldon_spec.protocols.seldon_v1.proto
file = descriptor_pb2.FileDescriptorProto(name="tensorflow/core/framework/tensor.proto", package="tensorflow")
file.message_type.add(name="TensorProto").field.add(name="tensor_content", number=4, type=12, label=1)
descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
theirs = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("tensorflow.TensorProto"))
assert seldon_spec.protocols.seldon_v1.proto.TensorProto.FromString(theirs(tensor_content=b"x").SerializeToString()).tensor_content == b"x"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


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
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
assert theirs is not SeldonMessage
assert SeldonMessage.FromString(theirs(strData="x").SerializeToString()).strData == "x"
"""
    for position in ("FIRST", "SECOND"):
        text = (
            code.replace(position, "import seldon_spec.protocols.seldon_v1.proto")
            .replace("FIRST", "")
            .replace("SECOND", "")
        )
        subprocess.run([sys.executable, "-c", text], check=True)
