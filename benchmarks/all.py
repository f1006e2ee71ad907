"""Everything on the page of results with one command: ``python -m benchmarks.all``.

It creates the environments of the peers, measures, and writes the page, in less than two hours; ``--list`` prints
the steps and their durations. Names of steps select some; the rest of the page is then made of their latest results. A
step that fails is reported, and the others are done nevertheless.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benchmarks import curve_page, targets
from benchmarks.environments import DEFAULT_FOLDER, ROOT
from benchmarks.report import place_in_page, render_report
from benchmarks.results import read_results

PAGE = ROOT / "docs" / "benchmarks.md"
_COMPARE = "benchmarks.compare"
_SMALL = ("rest-small", "grpc-small")
_V2 = ("v2-rest-small", "v2-rest-medium", "v2-rest-binary-medium", "v2-rest-binary-large")
_V2_GRPC = ("v2-grpc-small", "v2-grpc-medium", "v2-grpc-large")


@dataclass(frozen=True, slots=True)
class Step:
    """One command, which writes the file of its name.

    Args:
        flags: of the command line; ``{envs}`` is the folder of the environments.
        minutes: how long it takes on two cores.
        quick: the flags that make it as short as possible.
        python: the environment whose Python runs it; None is this interpreter's.
        requires: a module that has to be installed beside this package.
    """

    name: str
    module: str
    flags: Sequence[str]
    minutes: int
    quick: str
    python: str | None = None
    requires: str = "seldon_spec"


def _compare(
    name: str, servers: str, minutes: int, flags: str = "", workloads: Sequence[str] = (), **more: str
) -> Step:
    """A comparison; ``more`` are its title, and the environment whose Python runs it."""
    words = [
        "--keep-going",
        "--envs",
        "{envs}",
        *flags.split(),
        *(("--title", more["title"]) if "title" in more else ()),
    ]
    words += [word for server in servers.split() for word in ("--server", server)]
    words += [word for workload in workloads for word in ("--workload", workload)]
    quick = "--rounds 1 --starts 1 --seconds 1 --large 1"
    return Step(name, _COMPARE, words, minutes, quick, more.get("python"))


STEPS = (
    _compare(
        "speed",
        "seldon-core mlserver mlserver-inproc litserve bentoml seldon-spec seldon-spec-uvicorn"
        " fixed-granian fixed-uvicorn fixed-loop fixed-grpcio",
        15,
        "--rounds 3 --large 5",
    ),
    _compare(
        "v2",
        "triton kserve mlserver-inproc seldon-spec",
        7,
        "--rounds 3 --large 10",
        (*_V2, *_V2_GRPC),
        title="Open Inference Protocol",
    ),
    _compare(
        "scaling", "seldon-core seldon-spec", 4, "--mode scaling --model SmallOp --rounds 3", (*_SMALL, "rest-medium")
    ),
    _compare("memory", "seldon-core mlserver-inproc seldon-spec", 3, "--mode memory --rounds 3"),
    *(
        _compare(
            f"batching-{model.lower()}",
            "seldon-core seldon-spec seldon-spec-batched",
            4,
            f"--model {model} --connections 32",
            _SMALL,
            title=f"Batching: {model}",
        )
        for model in ("Logistic", "Forest")
    ),
    _compare(
        "observed",
        "seldon-spec seldon-spec-json seldon-spec-traced seldon-spec-sampled",
        3,
        workloads=_SMALL,
        title="With logs and tracing",
    ),
    _compare(
        "heads",
        "seldon-spec",
        3,
        "--heads plain --heads fixed --heads real --heads unknown",
        _SMALL,
        title="With a client's headers",
    ),
    *(
        _compare(
            f"model-files-{model.lower()}",
            "mlserver-file mlserver-file-batched seldon-spec-file seldon-spec-file-batched",
            3,
            f"--model {model} --connections 32 --rounds 3",
            _SMALL,
            title=f"Model files: {model}",
            python="model-files",
        )
        for model in ("Logistic", "Forest", "Boosted", "Exported")
    ),
    Step("curves", "benchmarks.curves", ("--envs", "{envs}"), 15, "--rounds 1 --seconds 1 --step 5"),
    Step("stages", "benchmarks.stages", (), 2, "--rounds 1 --seconds 1 --calls 50"),
    Step("graphs", "benchmarks.graphs", (), 3, "--rounds 1 --calls 10 --starts 1", requires="sklearn"),
    Step("ray", "benchmarks.ray", (), 10, "--rounds 1 --seconds 1", requires="ray"),
    Step(
        "batch",
        "benchmarks.batch",
        ("--envs", "{envs}"),
        8,
        "--rounds 1 --seconds 1 --rows 1000 --lines 100",
        requires="sklearn",
    ),
)


def find_reported(folder: Path) -> list[Path]:
    """Return the results that ``benchmarks.report`` renders, as far as they exist, in the order of the page."""
    files = (folder / f"{step.name}.json" for step in STEPS if step.module == _COMPARE)
    return [file for file in files if file.exists()]


def do_step(step: Step, given: argparse.Namespace) -> str:
    """Run the command of a step; return what became of it."""
    envs = given.envs.absolute()
    python = envs / step.python / "bin" / "python" if step.python else Path(sys.executable)
    if not python.exists() or not find_spec(step.requires):
        return "not installed"
    flags = [flag.format(envs=envs) for flag in step.flags]
    json_file = given.results.absolute() / f"{step.name}.json"
    command = [python, "-m", step.module, *flags, "--json", json_file, *(step.quick.split() if given.quick else ())]
    code = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL).returncode
    return "done" if code == 0 else f"failed with exit code {code}"


def write_page(results: Path, page: Path) -> None:
    """Write the tables and images of all results that there are."""
    report = render_report([read_results(file.read_text(encoding="utf-8")) for file in find_reported(results)])
    page.write_text(place_in_page(page.read_text(encoding="utf-8"), report), encoding="utf-8")
    if (results / "curves.json").exists():
        curve_page.main([str(results / "curves.json"), "--page", str(page)])
    for name in ("stages", "graphs", "ray", "batch"):
        if (results / f"{name}.json").exists():
            import_module(f"benchmarks.{name}").main(["--from", str(results / f"{name}.json"), "--page", str(page)])
    targets.main(["--results", str(results), "--page", str(page)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the steps, and write the page; return 1 if a step failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.all", description=__doc__)
    add = parser.add_argument
    add("name", nargs="*", metavar="STEP", help="only these; their environments have to be there")
    add("--list", action="store_true", help="print the steps, and do none")
    add("--quick", action="store_true", help="to try the command: the shortest loads, whose figures mean nothing")
    add("--results", type=Path, default=targets.RESULTS, metavar="DIR", help="of the JSON files; %(default)s")
    add("--page", type=Path, default=PAGE, metavar="FILE", help="the page to write; %(default)s")
    add("--envs", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="the peers' environments; %(default)s")
    given = parser.parse_args(arguments)
    if unknown := set(given.name) - {step.name for step in STEPS}:
        parser.error(f"there is no step {', '.join(sorted(unknown))}")
    steps = [step for step in STEPS if not given.name or step.name in given.name]
    if given.list:
        print("\n".join(f"{step.name:24}{step.minutes:4} minutes" for step in steps))
        return 0
    if not given.name:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.environments", "--envs", given.envs.absolute()], cwd=ROOT, check=False
        )
    outcomes = {}
    for step in steps:
        begun = time.monotonic()
        outcomes[step.name] = do_step(step, given)
        print(f"{step.name}: {outcomes[step.name]}, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    write_page(given.results, given.page)
    print("\n".join(f"{name}: {outcome}" for name, outcome in outcomes.items()), file=sys.stderr)
    return int(any(outcome.startswith("failed") for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
