"""Write docs/images/terminal-*.svg: what commands print on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parents[1]
WIDTH = 96
FLOWERS = """\
class Flowers:
    def predict(self, X, features_names=None):
        return X > 0.5
"""
MISTAKES = """\
class_name: Flower
name: iris
server:
  timeout: 30
  workers: "4"
ports:
  http: 9000
  grpc: 9000
"""
IMAGES = {"mistakes": ("seldon-spec validate", {"Flowers.py": FLOWERS, "seldon.yaml": MISTAKES})}
"""The command of each image, and the files of its folder."""
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="A terminal">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px ui-monospace, Consolas, "DejaVu Sans Mono", monospace; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""An image without fonts of other hosts."""


def run_on_terminal(command: str, folder: Path) -> str:
    """Return what a command prints on a terminal of 96 columns, with its colours."""
    controller, terminal = pty.openpty()
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TERM": "xterm-256color"}
    environ |= {"COLUMNS": str(WIDTH), "LANG": "C.UTF-8"}
    with subprocess.Popen(command.split(), cwd=folder, env=environ, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        printed = b""
        while part := _read(controller):
            printed += part
        process.wait()
    os.close(controller)
    return printed.decode().replace("\r\n", "\n")


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 1 << 16)
    except OSError:  # the command has ended
        return b""


def draw(name: str) -> str:
    """Return the image of a command, in which each line of the terminal is text that can be selected."""
    command, files = IMAGES[name]
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    console.print(Text(f"$ {command}", style="bold"))
    with TemporaryDirectory() as folder:
        for file, content in files.items():
            (Path(folder) / file).write_text(content, encoding="utf-8")
        console.print(Text.from_ansi(run_on_terminal(command, Path(folder)).rstrip()))
    return console.export_svg(title=command, theme=MONOKAI, code_format=FORMAT, unique_id="terminal")


def main(folder: Path = ROOT / "docs" / "images") -> int:
    """Write the images into a folder."""
    for name in IMAGES:
        (folder / f"terminal-{name}.svg").write_text(draw(name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
