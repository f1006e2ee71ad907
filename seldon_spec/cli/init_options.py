"""The arguments and options of the command ``init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seldon_spec.config.model import ServiceType

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The target folder; created if it does not exist.")]
ComponentsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="COMPONENT",
        help="With --graph: folders of components, relative to DIR; NAME=SERVICE_TYPE creates one.",
    ),
]
GraphOption = Annotated[
    bool, typer.Option("--graph", help="Write a graph of the components: init DIR --graph scaler iris.")
]
ServiceTypeOption = Annotated[
    ServiceType, typer.Option("--service-type", case_sensitive=False, help="The role of the class in a graph.")
]
ClassNameOption = Annotated[str | None, typer.Option("--class-name", metavar="NAME", help="The class name.")]
InferOption = Annotated[
    bool, typer.Option("--infer", help="Write a MODEL with named inputs and outputs (method infer).")
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="Serve a model file, which is not loaded. With --class-name, write a class for the fitted estimator in a"
        " .joblib, .pkl or .pickle file; this runs code of the file.",
    ),
]
