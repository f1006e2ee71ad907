"""Imports of ``seldon_core`` where it is not installed, each in a process of its own, as a user's class makes them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("seldon_core") is not None:
    pytest.skip("seldon_core is installed, and wins", allow_module_level=True)

INSTALL = (
    "import logging\nlogging.basicConfig(format='%(message)s')\nfrom seldon_spec.compat import install\ninstall()\n"
)


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def check(code: str, folder: Path) -> str:
    ended = run(code, folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "from seldon_core.user_model import SeldonComponent, SeldonResponse, SeldonNotImplementedError",
        "from seldon_core.user_model import *; SeldonComponent",
        "from seldon_core.flask_utils import SeldonMicroserviceException",
        "from seldon_core.microservice import SeldonMicroserviceException, PARAMETERS_ENV_NAME, parse_parameters",
        "from seldon_core.metrics import create_counter, create_gauge, create_timer, validate_metrics",
        "from seldon_core.proto import prediction_pb2, prediction_pb2_grpc",
        "from seldon_core.proto.prediction_pb2 import SeldonMessage, DefaultData, Tensor, Feedback",
        "from seldon_core import Storage; Storage.download",
        "from seldon_core.storage import Storage",
        "from seldon_core import utils; utils.json_to_seldon_message",
        "import seldon_core.utils as scu; scu.array_to_grpc_datadef",
        "from seldon_core.utils import array_to_grpc_datadef, get_data_from_proto, extract_request_parts",
        "import seldon_core; print(seldon_core.__version__)",
        "from seldon_core import __version__; from seldon_core.version import __version__",
        "from seldon_core.utils import *; construct_response_json, extract_request_parts_json",
        "from seldon_core.user_model import *; client_predict, client_custom_tags, SeldonMicroserviceException",
        "from seldon_core.utils import getenv_as_bool, json_to_feedback, seldon_message_to_json",
    ],
)
def test_imports_of_classes_work_and_are_logged_once(statement: str, tmp_path: Path) -> None:
    stderr = check(f"{INSTALL}install()\n{statement}\n{statement}", tmp_path)
    assert stderr.count("seldon_core is not installed") == 1


def test_nothing_is_imported_before_install_and_nothing_is_logged_without_an_import(tmp_path: Path) -> None:
    assert "No module named 'seldon_core'" in run("import seldon_spec.compat, seldon_core", tmp_path).stderr
    assert check(f"{INSTALL}import importlib.util\nassert importlib.util.find_spec('seldon_core')", tmp_path) == ""


@pytest.mark.parametrize(
    ("statement", "error", "stderr"),
    [
        ("import seldon_core.wrapper", "ModuleNotFoundError", "seldon_core.user_model"),
        ("from seldon_core import SeldonClient", "ImportError", "available here: Storage"),
        ("from seldon_core.metrics import SeldonMetrics", "ImportError", "create_counter"),
        ("from seldon_core.proto import other_pb2", "ImportError", "modules only"),
        ("import seldon_core.utils; seldon_core.utils.nothing", "AttributeError", "json_to_feedback"),
        ("import seldon_core.proto; seldon_core.proto.nothing", "AttributeError", "modules only"),
    ],
)
def test_a_missing_name_lists_the_available_ones(statement: str, error: str, stderr: str, tmp_path: Path) -> None:
    last = run(INSTALL + statement, tmp_path).stderr.strip().splitlines()[-1]
    assert last.startswith(error)
    assert "seldon-spec replaces seldon-core" in last
    assert stderr in last


def test_a_package_that_is_there_wins(tmp_path: Path) -> None:
    (tmp_path / "seldon_core").mkdir()
    (tmp_path / "seldon_core" / "__init__.py").write_text("Storage = 'theirs'\n")
    stderr = check(f"{INSTALL}from seldon_core import Storage\nassert Storage == 'theirs'", tmp_path)
    assert stderr == ""
    lacking = run(f"{INSTALL}import seldon_core.utils", tmp_path).stderr
    assert lacking.strip().endswith("No module named 'seldon_core.utils'")


POOLS = {
    "messages of google.protobuf are parts": """
        from google.protobuf.struct_pb2 import ListValue, Value
        from google.protobuf.any_pb2 import Any
        rows = ListValue()
        rows.extend([1, 2])
        assert SeldonMessage(data=DefaultData(ndarray=rows)).data.ndarray[1] == 2
        assert SeldonMessage(jsonData=Value(string_value="a"), customData=Any()).HasField("customData")
    """,
    "a tensor of TensorFlow's name may follow": """
        from seldon_spec.protocols.seldon_v1.proto import read_descriptor_set
        from google.protobuf import descriptor_pool
        SeldonMessage()
        tensor = next(file for file in read_descriptor_set().file if file.package == "tensorflow")
        descriptor_pool.Default().AddSerializedFile(tensor.SerializeToString())
        assert descriptor_pool.Default().FindMessageTypeByName("tensorflow.TensorProto")
    """,
    "the server's own messages are beside": """
        from seldon_spec.protocols.seldon_v1 import proto
        wire = proto.SeldonMessage(strData="a").SerializeToString()
        assert proto.SeldonMessage is not SeldonMessage
        assert SeldonMessage.FromString(wire).strData == "a"
    """,
}


@pytest.mark.parametrize("code", POOLS.values(), ids=POOLS)
def test_the_messages_are_in_protobuf_s_own_pool(code: str, tmp_path: Path) -> None:
    imports = "from seldon_core.proto.prediction_pb2 import DefaultData, SeldonMessage\n"
    check(INSTALL + imports + textwrap.dedent(code), tmp_path)


TAKEN = """
from google.protobuf import descriptor_pool, descriptor_pb2
file = descriptor_pb2.FileDescriptorProto(name="mine.proto", package="seldon.protos", syntax="proto3")
file.message_type.add(name="SeldonMessage")
descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
from seldon_core.proto.prediction_pb2 import SeldonMessage
assert SeldonMessage(strData="a").strData == "a"
"""
TENSORFLOW = """
from tensorflow.core.framework.tensor_pb2 import TensorProto
from seldon_core.proto.prediction_pb2 import DefaultData
assert DefaultData(tftensor=TensorProto(dtype=1)).tftensor.dtype == 1
"""
TENSOR_PB2 = """
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass
from seldon_spec.protocols.seldon_v1.proto import read_descriptor_set
tensor = next(file for file in read_descriptor_set().file if file.package == "tensorflow")
tensor.name = "tensorflow/core/framework/tensor.proto"
Default().AddSerializedFile(tensor.SerializeToString())
TensorProto = GetMessageClass(Default().FindMessageTypeByName("tensorflow.TensorProto"))
"""


def test_names_that_are_taken_are_no_hindrance(tmp_path: Path) -> None:
    check(INSTALL + TAKEN, tmp_path)


@pytest.mark.parametrize("first", ["tensorflow", "seldon_core"])
def test_a_tensor_that_tensorflow_made_is_a_part_of_a_message(first: str, tmp_path: Path) -> None:
    """A package that describes its tensor as TensorFlow's does, in either order the two are imported."""
    framework = tmp_path / "tensorflow" / "core" / "framework"
    framework.mkdir(parents=True)
    for folder in (framework, framework.parent, framework.parent.parent):
        (folder / "__init__.py").touch()
    (framework / "tensor_pb2.py").write_text(TENSOR_PB2)
    lines = TENSORFLOW.strip().splitlines()
    code = "\n".join(lines if first == "tensorflow" else [lines[1], lines[0], lines[2]])
    check(INSTALL + code, tmp_path)


def test_a_tensorflow_that_cannot_be_imported_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise ImportError('no such library')")
    check(f"{INSTALL}from seldon_core.proto.prediction_pb2 import DefaultData\nDefaultData().tftensor.dtype", tmp_path)
