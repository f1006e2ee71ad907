"""Triton with its Python backend, from the wheel of PyTriton: ``triton_launcher.py OPTION...`` of its server.

The working folder has ``config.pbtxt`` and ``triton_model.py``; the repository and the backend are put beside them.
"""

import os
import sys
import sysconfig
from pathlib import Path

PACKAGES = Path(sysconfig.get_path("purelib"))
TRITON = PACKAGES / "pytriton" / "tritonserver"


def main():
    """Write the folders, and become the server."""
    folder = Path.cwd()
    version = folder / "models" / "model" / "1"
    version.mkdir(parents=True)
    (folder / "config.pbtxt").rename(version.parent / "config.pbtxt")
    (folder / "triton_model.py").rename(version / "model.py")
    # The wheel has the process that runs the class for many versions of Python; the backend needs that of this one.
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    stub = TRITON / "python_backend_stubs" / sysconfig.get_python_version() / "triton_python_backend_stub"
    for file in (*(TRITON / "backends" / "python").iterdir(), stub):
        (backend / file.name).symlink_to(file)
    libraries = [sysconfig.get_config_var("LIBDIR"), str(PACKAGES / "nvidia_pytriton.libs")]
    variables = {
        "LD_LIBRARY_PATH": ":".join(libraries),
        "PYTHONPATH": f"{folder}:{PACKAGES}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [str(TRITON / "bin" / "tritonserver"), "--model-repository=models", "--backend-directory=backends"]
    os.execve(command[0], [*command, *sys.argv[1:]], {**os.environ, **variables})  # noqa: S606


main()
