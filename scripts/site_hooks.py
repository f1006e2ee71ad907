"""Hooks of the documentation's build: pages from files of the repository, weights of the search, and llms.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
COPIED = ("SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md")
BOOSTS = {
    3.5: ("class",),
    3.0: ("requests",),
    2.5: ("troubleshooting",),
    2.0: ("reference", "commands"),
    1.5: ("compose", "image-model", "model-contract", "quickstart"),
    0.3: ("gallery", "benchmarks"),
    0.1: ("contributing", "changelog"),
}
"""The weight of pages in the results of a search, by the names of their files."""
UNSEARCHED = "adr/"
SENTENCE = re.compile(r"^[A-Z`\[][^\n]*?(?:\n\S[^\n]*?)*?(?:\.(?=\s)|:(?=\n\n))", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are files of the repository, with links relative to the pages."""
    from mkdocs.structure.files import File

    for name in COPIED:
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name.lower(), content=text))
    return files


def on_page_markdown(_markdown: str, page: Page, **_: Any) -> None:
    """Set how the search weighs the page."""
    if page.file.src_uri.startswith(UNSEARCHED):
        page.meta["search"] = {"exclude": True}
    for boost, names in BOOSTS.items():
        if page.file.name in names:
            page.meta["search"] = {"boost": boost}


def on_env(_environment: object, config: MkDocsConfig, files: Files) -> None:
    """Write llms.txt: every page with its first sentence, for programs that read the documentation."""
    head = f"# {config.site_name}\n\n> {config.site_description}\n"
    sections = "".join(
        f"\n## {title}\n\n{''.join(_list_pages(title, below, files))}" for title, below in _items(config.nav)
    )
    path = Path(config.site_dir) / "llms.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + sections, encoding="utf-8")


def _items(nav: Any) -> Iterator[tuple[str, Any]]:
    return (item for mapping in nav for item in mapping.items())


def _list_pages(title: str, below: Any, files: Files) -> Iterator[str]:
    if isinstance(below, list):
        for each in _items(below):
            yield from _list_pages(*each, files)
        return
    file = files.src_uris[below]
    found = SENTENCE.search((file.page and file.page.markdown) or "")
    yield f"- [{title}]({file.url}){': ' + ' '.join(found[0].split()).rstrip(':') if found else ''}\n"
