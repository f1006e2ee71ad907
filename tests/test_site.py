"""The documentation as it is built: every link has its target, and nothing is loaded from another host."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
BUILD_SECONDS = 240
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
"""The attributes whose files a browser loads with a page."""
needs_mkdocs = pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="MkDocs is not installed")


class Reader(HTMLParser):
    """The anchors, links and loaded files of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in LOADED and LOADED[tag] in values:
            self.loaded.append(values[LOADED[tag]])


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site strictly: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="session")
def pages(site: Path) -> Mapping[Path, Reader]:
    return {path: Reader(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def find_broken(page: Path, link: str, pages: Mapping[Path, Reader]) -> Iterator[str]:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return
    target = page if not parts.path else (page.parent / unquote(parts.path)).resolve()
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        yield f"{page.name}: there is no {link}"
    elif parts.fragment and unquote(parts.fragment) not in pages[target].anchors:
        yield f"{page.name}: {link} has no such anchor"


@needs_mkdocs
def test_every_link_of_the_site_has_its_target(pages: Mapping[Path, Reader]) -> None:
    checked = {page: reader for page, reader in pages.items() if page.name != "404.html"}  # has absolute links
    assert len(checked) > 40
    links = [(page, link) for page, reader in checked.items() for link in (*reader.links, *reader.loaded)]
    assert [problem for page, link in links for problem in find_broken(page, link, pages)] == []


@needs_mkdocs
def test_the_site_loads_nothing_from_another_host(site: Path, pages: Mapping[Path, Reader]) -> None:
    loaded = {url for reader in pages.values() for url in reader.loaded if not url.startswith("data:")}
    assert any(url.endswith(".js") for url in loaded)
    assert [url for url in loaded if urlsplit(url).netloc] == []
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    urls = [url for style in styles for url in re.findall(r"""(?:url\(|@import )["']?([^"')]+)""", style)]
    assert [url for url in urls if urlsplit(url).netloc] == []


@needs_mkdocs
def test_every_page_is_listed_for_programs(site: Path, pages: Mapping[Path, Reader]) -> None:
    text = (site / "llms.txt").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[[^]]+\]\(([^)]+)\): \S", text, re.MULTILINE)
    assert {site / name for name in listed} == {page for page in pages if page.name != "404.html"}
    assert text.startswith("# seldon-spec\n\n> ")


@needs_mkdocs
def test_the_decisions_are_not_searched(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    pages = {urldefrag(each["location"]).url for each in index["docs"]}
    assert {"reference.html", "troubleshooting.html", "security.html", "changelog.html"} <= pages
    assert [page for page in pages if page.startswith("adr/")] == []


FILES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def list_anchors(path: Path) -> set[str]:
    """Return the anchors of a Markdown file's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", FILES)
def test_every_link_of_the_repository_has_its_target(name: str) -> None:
    links = [link for link in LINK.findall((ROOT / name).read_text(encoding="utf-8")) if not urlsplit(link).netloc]
    targets = [(ROOT / urlsplit(link).path if urlsplit(link).path else ROOT / name, link) for link in links]
    assert [link for target, link in targets if not target.exists()] == []
    anchored = [(target, urlsplit(link).fragment) for target, link in targets if urlsplit(link).fragment]
    assert [fragment for target, fragment in anchored if fragment not in list_anchors(target)] == []
