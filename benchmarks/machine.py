"""What the figures were made on: the machine, its system, the tools, and what is installed beside each server."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

PACKAGES = (
    *("seldon-spec", "seldon-core", "mlserver", "litserve", "bentoml", "kserve", "nvidia-pytriton"),
    *("flask", "werkzeug", "gunicorn", "uvicorn", "granian", "starlette", "fastapi", "pydantic"),
    *("uvloop", "httptools", "h11", "grpcio", "protobuf", "numpy", "orjson", "scikit-learn", "opentelemetry-sdk"),
)
"""Those whose version a figure may depend on."""

_ASK_VERSIONS = """
import json, platform, sys
from importlib.metadata import PackageNotFoundError, version
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when it was measured."""

    processor: str
    cores: int
    memory_bytes: int
    system: str
    kernel: str
    tools: str
    date: str


def describe_machine() -> Machine:
    """This one, now."""
    return Machine(
        processor=_find(r"^model name\s*: (.*)$", "/proc/cpuinfo") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=_find(r'^PRETTY_NAME="(.*)"$', "/etc/os-release") or platform.system(),
        kernel=platform.release().partition("-")[0],
        tools=f"{_first_words('wrk', '-v')}, {_first_words('h2load', '--version')}",
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d"),
    )


def read_versions(python: Path) -> dict[str, str]:
    """The versions of Python and of PACKAGES in the environment of an interpreter.

    Raises:
        subprocess.CalledProcessError: it does not run.
    """
    asked = subprocess.run([python, "-c", _ASK_VERSIONS, *PACKAGES], capture_output=True, text=True, check=True)
    versions: dict[str, str] = json.loads(asked.stdout)
    return versions


def _find(pattern: str, file: str) -> str:
    try:
        found = re.search(pattern, Path(file).read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""


def _first_words(*command: str) -> str:
    """The first two words of a tool's description of itself (wrk prints its version with exit code 1)."""
    if shutil.which(command[0]) is None:
        return f"no {command[0]}"
    return " ".join(subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()[:2])
