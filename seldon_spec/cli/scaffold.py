"""The files of a new project: spec, class, requirements and a test, for each service type."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

from seldon_spec import __version__
from seldon_spec.config.loader import default_name
from seldon_spec.config.model import SPEC_FILE, ServiceType, Spec
from seldon_spec.config.schema.lookup import schema_text
from seldon_spec.deploy.dockerfile.dockerignore import render_dockerignore
from seldon_spec.errors import SeldonSpecError

SCHEMA_FILE = "seldon.schema.json"

DEFAULT_NAMES = {
    ServiceType.MODEL: "MyModel",
    ServiceType.ROUTER: "MyRouter",
    ServiceType.TRANSFORMER: "MyTransformer",
    ServiceType.COMBINER: "MyCombiner",
    ServiceType.OUTLIER_DETECTOR: "MyDetector",
}

_TEMPLATES = Path(__file__).parent / "templates"


class FilesExist(SeldonSpecError):
    """Files of the new project exist already, or the folder cannot be written."""


def is_class_name(text: str) -> bool:
    """Return whether a text is a valid name of a class and of its module."""
    return bool(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text)) and not keyword.iskeyword(text)


def make_files(service_type: ServiceType, class_name: str, *, has_infer: bool = False) -> dict[str, str]:
    """Return the texts of the files, by name; with ``has_infer``, of a MODEL with named tensors."""
    values = {"class_name": class_name, "service_type": service_type.value, "name": default_name(class_name)}

    def fill(template: str) -> str:
        return Template((_TEMPLATES / template).read_text("utf-8")).substitute(values)

    kind = "infer" if has_infer else service_type.value
    return {
        SPEC_FILE: fill("seldon.yaml.txt") + fill(f"{kind}.yaml.txt"),
        f"{class_name}.py": fill(f"{kind}.py.txt"),
        f"test_{class_name}.py": fill("test.txt") + fill(f"{kind}.test.txt"),
        "requirements.txt": fill("requirements.txt.txt"),
        ".dockerignore": render_dockerignore(Spec(class_name, Path(), values["name"]), __version__),
        SCHEMA_FILE: schema_text(),
    }


def write_files(folder: Path, files: dict[str, str]) -> None:
    """Write all of the files, or none.

    Raises:
        FilesExist: one of them exists, or the folder cannot be written; nothing is changed.
    """
    existing = sorted(name for name in files if (folder / name).exists() or (folder / name).is_symlink())
    if existing:
        raise FilesExist(f"{folder} already contains {', '.join(existing)}; nothing was written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with (folder / name).open("x", encoding="utf-8") as stream:
                stream.write(text)
    except OSError as error:
        raise FilesExist(f"{folder} cannot be written: {error.strerror or error}") from error
