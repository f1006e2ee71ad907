"""Create the environments of the peers: ``python -m benchmarks.environments [NAME...] [--envs DIR]``.

Each is a separate venv, so that requirements do not conflict. Existing environments are not changed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEFAULT_FOLDER = Path("build") / "benchmarks" / "envs"


@dataclass(frozen=True, slots=True)
class Environment:
    """One venv: its Python, and what pip installs into it."""

    name: str
    python: str
    requirements: tuple[str, ...]


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("seldon312", "3.12", ("seldon-core==1.19.0", "scikit-learn")),
        # With a newer uvloop, the pool of MLServer 1.7.1 does not start: it asks for an event loop before there is one.
        Environment("mlserver", "3.11", ("mlserver==1.7.1", "uvloop<0.22", "scikit-learn")),
        Environment(
            "mlserver-runtimes",
            "3.11",
            (
                *("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "mlserver-xgboost==1.7.1", "uvloop<0.22"),
                *("onnxruntime", "skl2onnx"),
            ),
        ),
        # What an image of a model file has, and what makes the files: the Python of those comparisons.
        Environment(
            "model-files", "3.11", ("--editable", str(ROOT), "scikit-learn", "xgboost-cpu", "onnxruntime", "skl2onnx")
        ),
        # The wheel has the server with its backend for Python; it starts without a graphics card (Linux on x86-64).
        Environment("triton", "3.11", ("nvidia-pytriton==0.7.0", "numpy<2", "scikit-learn")),
        Environment("kserve", "3.11", ("kserve==0.21.0", "scikit-learn")),
        Environment("litserve", "3.11", ("litserve==0.2.19", "numpy", "scikit-learn")),
        Environment("bentoml", "3.11", ("bentoml==1.4.39", "numpy", "scikit-learn")),
        Environment(
            "probes",
            "3.11",
            (
                *("gunicorn==27.0.1", "uvicorn==0.54.0", "granian==2.8.9"),
                *("uvloop==0.23.0", "httptools==0.9.0", "grpcio==1.85.3"),
            ),
        ),
    )
}


def find_python(version: str) -> str:
    """An interpreter of that version: this one, one on the path, or one of pyenv's.

    Raises:
        LookupError: there is none.
    """
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    candidates = [sys.executable, shutil.which(f"python{version}"), *map(str, reversed(pyenv))]
    for candidate in filter(None, candidates):
        version_output = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        if version_output.stdout.startswith(f"Python {version}."):
            return candidate
    raise LookupError(f"there is no Python {version} on the path or with pyenv")


def make_environment(environment: Environment, folder: Path, python: str | None = None) -> bool:
    """Make it under ``folder``; False if it was there. It appears whole or not at all.

    Args:
        python: the interpreter; None: one of the version that it needs.

    Raises:
        LookupError: its Python is not found.
        subprocess.CalledProcessError: pip failed.
    """
    target = folder / environment.name
    if target.exists():
        return False
    flags = ["--quiet", "--disable-pip-version-check"]
    if python is None:
        python = find_python(environment.python)
    else:
        flags += ["--ignore-requires-python", "--prefer-binary"]  # of releases without a wheel for it, older ones
    try:
        subprocess.run([python, "-m", "venv", str(target)], check=True)
        pip = [str(target / "bin" / "python"), "-m", "pip", "install", *flags]
        subprocess.run([*pip, *environment.requirements], check=True)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Make those that are named, or all of them; return 1 if one could not be made."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.environments", description=__doc__)
    parser.add_argument("name", nargs="*", metavar="NAME", help=", ".join(ENVIRONMENTS))
    parser.add_argument("--envs", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="where; %(default)s")
    parser.add_argument(
        "--python",
        metavar="PATH",
        help="the interpreter of all, whatever versions their packages ask for; default: those that they need",
    )
    given = parser.parse_args(arguments)
    if unknown := set(given.name) - set(ENVIRONMENTS):
        parser.error(f"there is no environment {', '.join(sorted(unknown))}")
    results = [_report(ENVIRONMENTS[name], given.envs, given.python) for name in given.name or ENVIRONMENTS]
    return int(not all(results))


def _report(environment: Environment, folder: Path, python: str | None) -> bool:
    """Make one, and print what became of it; False if it could not be made."""
    try:
        is_new = make_environment(environment, folder, python)
    except (LookupError, subprocess.CalledProcessError) as error:
        print(f"{environment.name}: {error}", file=sys.stderr)
        return False
    print(f"{environment.name}: {'made' if is_new else 'is there'}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
