"""The page of troubleshooting has what the server logs as a problem, and a message of every class of errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from seldon_spec.errors import RequestError
from seldon_spec.protocols.status import STATUSES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SPANS = re.findall(r"`([^`\n]+)`", PAGE)
LOGGED = frozenset({"warning", "error", "exception", "critical"})
LEVELLED = frozenset({"log", "_log", "Log"})
"""What has the level as its first argument."""
PLACEHOLDER = re.compile(r"(?:(?:%(?:\.\d+)?[a-z]|\{\}) ?)*(?:%(?:\.\d+)?[a-z]|\{\})")
STATUS = {kind: status for kind, status in STATUSES.items() if issubclass(kind, RequestError)}


@cache
def parse_sources() -> list[ast.Module]:
    return [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "seldon_spec").rglob("*.py")]


def read_text(node: ast.expr) -> str:
    """Return a literal text, with ``{}`` for the values in it; empty if it is not literal."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(read_text(each) if isinstance(each, ast.Constant) else "{}" for each in node.values)
    if isinstance(node, ast.BinOp):
        return read_text(node.left) + read_text(node.right)
    return ""


def find_calls() -> Iterator[tuple[ast.Module, str, str, ast.Call]]:
    """Yield the calls that log or that make an object: the module, the variable of a method, the name, and the call."""
    for tree in parse_sources():
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            match node.func:
                case ast.Attribute(value=ast.Name(id=owner), attr=name) if name in LOGGED | LEVELLED:
                    yield tree, owner, name, node
                case ast.Name(id=name) if name[0].isupper():
                    yield tree, "", name, node


def read_texts(tree: ast.Module, node: ast.expr) -> Iterator[str]:
    """Yield the texts that an argument can have: a literal one, or those that a module gives a variable."""
    if not isinstance(node, ast.Name):
        yield read_text(node)
        return
    for each in ast.walk(tree):
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == node.id:
            yield read_text(each.value)


def find_logged() -> Iterator[str]:
    """Yield the texts of log lines of the level WARNING and above."""
    for tree, owner, name, call in find_calls():
        if owner == "logger" and name in LOGGED:
            yield from read_texts(tree, call.args[0])
        elif name in LEVELLED and re.search("WARNING|ERROR|CRITICAL|level", ast.unparse(call.args[0])):
            yield from read_texts(tree, call.args[1])


def find_raised() -> dict[str, list[str]]:
    """Return the classes of errors, each with the literal texts of its errors that have words."""
    bases = {
        node.name: {ast.unparse(base) for base in node.bases}
        for tree in parse_sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }

    def is_error(name: str) -> bool:
        return "SeldonSpecError" in bases.get(name, ()) or any(map(is_error, bases.get(name, ())))

    found: dict[str, list[str]] = {}
    for _, _, name, call in find_calls():
        if call.args and is_error(name) and has_words(text := read_text(call.args[0])):
            found.setdefault(name, []).append(text)
    return found


def is_described(text: str) -> bool:
    """Return whether the page quotes the text, with any words for the values in it."""
    first = text.partition("\n")[0].replace("`", "")
    pattern = ".+".join(map(re.escape, PLACEHOLDER.split(first)))
    return any(re.fullmatch(pattern, span) for span in SPANS)


def has_words(text: str) -> bool:
    return len(re.findall(r"[a-z]{2,}", PLACEHOLDER.sub("", text))) > 1


def test_every_logged_problem_is_described() -> None:
    messages = {text for text in find_logged() if has_words(text)}
    assert len(messages) > 50  # they are found at all
    assert sorted(text for text in messages if not is_described(text)) == []


def test_every_class_of_errors_is_described() -> None:
    raised = find_raised()
    assert len(raised) > 30
    assert {name: texts for name, texts in raised.items() if not any(map(is_described, texts))} == {}


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
def test_every_status_is_described(kind: type[RequestError]) -> None:
    assert re.search(rf"\b{STATUS[kind].http}\b", PAGE)
    assert re.search(rf"\b{STATUS[kind].grpc}\b", PAGE)
