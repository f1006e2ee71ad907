"""The pre-commit hook that this repository offers does what its definition says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

HOOKS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parents[1] / ".pre-commit-hooks.yaml").read_text())


def test_the_hook_refuses_a_wrong_file_and_a_warning(tmp_path: Path) -> None:
    (hook,) = HOOKS
    assert hook["language"] == "python"
    files = ["seldon.yaml", "models/iris/seldon.yaml"]
    assert all(re.search(hook["files"], file) for file in files)
    assert not re.search(hook["files"], "docs/seldon.yaml.example")
    (tmp_path / "models" / "iris").mkdir(parents=True)
    for file in files:
        (tmp_path / file).write_text("class_name: M\n")
        (tmp_path / file).with_name("M.py").write_text("class M:\n    predict = None\n")
    words = [*shlex.split(str(hook["entry"])), *map(str, hook["args"]), *files]
    assert words[0] == "seldon-spec"
    command = [sys.executable, "-m", "seldon_spec", *words[1:]]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False).returncode == 0
    (tmp_path / files[1]).with_name("M.py").write_text("class M:\n    pass\n")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "[no-hook]" in done.stderr
