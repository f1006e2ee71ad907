"""Compile the protocols' schemas and their imports into the descriptor sets that the package reads.

Run it after a change of the schema: ``python scripts/make_proto.py``. It needs grpcio-tools, in the version that the
``proto`` group of pyproject.toml pins; the imported files of other versions differ in options that nobody reads here.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOCOLS = ROOT / "seldon_spec" / "protocols"
OUTPUTS = {
    "prediction.proto": PROTOCOLS / "seldon_v1" / "proto" / "prediction.binpb",
    "open_inference.proto": PROTOCOLS / "open_inference_v2" / "proto" / "open_inference.binpb",
}
"""The descriptor set of each schema."""


def compile_descriptor_set(schema: str, output: Path) -> None:
    """Write the ``FileDescriptorSet`` of a schema, its imports first.

    Raises:
        RuntimeError: protoc refused the schema; the reason is on stderr.
    """
    from grpc_tools import protoc

    includes = resources.files("grpc_tools") / "_proto"
    arguments = [
        "protoc",
        f"--proto_path={ROOT / 'schemas'}",
        f"--proto_path={includes}",
        "--include_imports",
        f"--descriptor_set_out={output}",
        schema,
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc refused the schema")


if __name__ == "__main__":
    for name, path in OUTPUTS.items():
        compile_descriptor_set(name, path)
        sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes\n")
