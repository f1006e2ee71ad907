"""The options of ``manifest``, and those for files that ``dockerfile`` has too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seldon_spec.deploy.manifest.target import Target

TargetOption = Annotated[Target, typer.Option("--for", help="What runs the image.")]
CommentsOption = Annotated[bool, typer.Option("--comments/--no-comments", help="Write where each value is set.")]
OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", metavar="KIND", help="Print the objects of this kind; repeatable.")
]
EverythingOption = Annotated[
    bool, typer.Option("--all", help="Repeat every setting as a variable, although the image has the file.")
]
OutputOption = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write to this file.")]
CheckOption = Annotated[
    Path | None, typer.Option("--check", metavar="FILE", help="Print how a file differs, and exit with 1 if it does.")
]
