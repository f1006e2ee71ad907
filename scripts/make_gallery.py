"""Write docs/gallery.md from the folders of examples.

Run it after a change of an example; a test compares the committed page with what this makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "gallery.md"

INTRODUCTION = """\
# Gallery

<!-- Made by scripts/make_gallery.py from the folders in examples/: change these, then run the script. -->

Each example is a folder that is served as it is: `seldon-spec serve examples/NAME`. The requests are
played by a test over REST and over gRPC; the answers shown are those of REST.

| example | service type | shows |
|---|---|---|
"""
ORDER = (
    *("minimal", "iris", "text", "image", "custom-metrics", "secrets", "thread-bound", "tfserving-proxy", "xgboost"),
    *("input-transformer", "output-transformer", "bandit-router", "mean-ensemble", "outlier-detector"),
)
"""The models first, then what stands around them in a graph."""

WIDTH = 400
"""How much of a request or an answer is shown, in characters."""


def render_gallery() -> str:
    """The whole page, the same for the same folders.

    Raises:
        ValueError: a folder has no place in the order.
    """
    found = {path.parent.name for path in EXAMPLES.glob("*/seldon.yaml")}
    if found != set(ORDER):
        raise ValueError(f"the order of the gallery does not fit the folders: {found ^ set(ORDER)}")
    folders = [EXAMPLES / name for name in ORDER]
    rows = "".join(map(_summarise, folders))
    return f"{INTRODUCTION}{rows}{''.join(map(_describe, folders))}"


def _summarise(folder: Path) -> str:
    title, _ = _read_readme(folder)
    return f"| [{folder.name}](#{folder.name}) | {_key(folder, 'service_type', 'MODEL')} | {title} |\n"


def _key(folder: Path, key: str, default: str) -> str:
    return str(yaml.safe_load((folder / "seldon.yaml").read_text(encoding="utf-8")).get(key, default))


def _read_readme(folder: Path) -> tuple[str, str]:
    title, _, text = (folder / "README.md").read_text(encoding="utf-8").partition("\n")
    return title.removeprefix("# "), text.strip()


def _describe(folder: Path) -> str:
    title, text = _read_readme(folder)
    main = folder / f"{_key(folder, 'class_name', '')}.py"
    parts = [f"## {folder.name}", f"**{title}**", text, _show("yaml", folder / "seldon.yaml"), _show("python", main)]
    others = [f"`{file.name}`" for file in sorted(folder.glob("*.py")) if file != main]
    if others:
        parts.append(f"Beside it: {', '.join(others)}.")
    return "\n" + "\n\n".join([*parts, *_play(folder)]) + "\n"


def _show(language: str, file: Path) -> str:
    return f'```{language} title="{file.parent.name}/{file.name}"\n{file.read_text(encoding="utf-8").rstrip()}\n```'


def _play(folder: Path) -> Iterator[str]:
    for row in json.loads((folder / "requests.json").read_text(encoding="utf-8"))["requests"]:
        if "samples" in row:
            shown = "\n".join(f"{name} {value:g}" for name, value in row["samples"].items())
            yield f"{_sentence(row)}, added up over their labels:\n\n```text\n{shown}\n```"
        else:
            yield f"{_sentence(row)}:\n\n```text\nPOST /{row['to']}\n{_shorten(row['request'])}\n{_answer(row)}\n```"


def _sentence(row: Mapping[str, Any]) -> str:
    text = str(row["says"])
    return text[0].upper() + text[1:]


def _answer(row: Mapping[str, Any]) -> str:
    return f"-> error: {row['error']}" if "error" in row else f"-> {_shorten(row['answer'])}"


def _shorten(tree: Any) -> str:
    text = json.dumps(tree, ensure_ascii=False)
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}…"


if __name__ == "__main__":
    PAGE.write_text(render_gallery(), encoding="utf-8")
