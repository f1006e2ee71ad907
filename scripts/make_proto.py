"""Compile ``schemas/prediction.proto`` and its imports into the descriptor set that the package reads.

Run it after a change of the schema: ``python scripts/make_proto.py``. It needs grpcio-tools, in the version that the
``proto`` group of pyproject.toml pins; the imported files of other versions differ in options that nobody reads here.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "schemas" / "prediction.proto"
OUTPUT = ROOT / "seldon_spec" / "protocols" / "seldon_v1" / "proto" / "prediction.binpb"


def compile_descriptor_set(output: Path) -> None:
    """Write the ``FileDescriptorSet`` of the schema, its imports first.

    Raises:
        RuntimeError: protoc refused the schema; it has told why on stderr.
    """
    from grpc_tools import protoc

    includes = resources.files("grpc_tools") / "_proto"
    arguments = [
        "protoc",
        f"--proto_path={SCHEMA.parent}",
        f"--proto_path={includes}",
        "--include_imports",
        f"--descriptor_set_out={output}",
        SCHEMA.name,
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc refused the schema")


if __name__ == "__main__":
    compile_descriptor_set(OUTPUT)
    sys.stdout.write(f"{OUTPUT.relative_to(ROOT)}: {OUTPUT.stat().st_size} bytes\n")
