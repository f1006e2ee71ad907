"""The page of troubleshooting has what the server logs as a problem, and a message of every class of errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from seldon_spec.errors import RequestError
from seldon_spec.protocols.status import STATUSES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SPANS = re.findall(r"`([^`\n]+)`", PAGE)
LOGGED = frozenset({"warning", "error", "exception", "critical"})
PLACEHOLDER = re.compile(r"(?:(?:%(?:\.\d+)?[a-z]|\{\}) ?)*(?:%(?:\.\d+)?[a-z]|\{\})")
TREES = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "seldon_spec").rglob("*.py")]


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
    """Yield every call in the package: its module, what the method is of, its name, and the call."""
    for tree in TREES:
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if isinstance(node.func, ast.Attribute):
                yield tree, ast.unparse(node.func.value), node.func.attr, node
            elif isinstance(node.func, ast.Name):
                yield tree, "", node.func.id, node


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
        elif name in ("_log", "log", "Log") and re.search("WARNING|ERROR|CRITICAL|level", ast.unparse(call.args[0])):
            yield from read_texts(tree, call.args[1])


def find_raised(name: str) -> list[str]:
    """Return the literal texts with which errors of a class are made."""
    return [
        text
        for _, _, called, call in find_calls()
        if called == name and call.args and (text := read_text(call.args[0]))
    ]


def is_described(text: str) -> bool:
    """Return whether the page quotes the text, with any words for the values in it."""
    first = text.partition("\n")[0].replace("`", "")
    pattern = ".+".join(map(re.escape, PLACEHOLDER.split(first)))
    return any(re.fullmatch(pattern, span) for span in SPANS)


def has_words(text: str) -> bool:
    return len(re.findall(r"[a-z]{2,}", PLACEHOLDER.sub("", text))) > 1


MESSAGES = sorted({text for text in find_logged() if has_words(text)})


BASES = {
    node.name: {ast.unparse(base) for base in node.bases}
    for tree in TREES
    for node in ast.walk(tree)
    if isinstance(node, ast.ClassDef)
}


def is_error(name: str) -> bool:
    return "SeldonSpecError" in BASES.get(name, ()) or any(map(is_error, BASES.get(name, ())))


ERRORS = {name: texts for name in BASES if is_error(name) and (texts := [*filter(has_words, find_raised(name))])}
"""The classes of errors, and the texts that they are raised with."""
STATUS = {kind: status for kind, status in STATUSES.items() if issubclass(kind, RequestError)}


@pytest.mark.parametrize("message", MESSAGES)
def test_every_logged_problem_is_described(message: str) -> None:
    assert is_described(message)


@pytest.mark.parametrize("name", ERRORS)
def test_every_class_of_errors_is_described(name: str) -> None:
    assert any(map(is_described, ERRORS[name])), ERRORS[name]


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
def test_every_status_is_described(kind: type[RequestError]) -> None:
    assert re.search(rf"\b{STATUS[kind].http}\b", PAGE)
    assert re.search(rf"\b{STATUS[kind].grpc}\b", PAGE)


def test_the_sources_have_the_messages() -> None:
    """The tables above are found in the sources, not empty because a name has changed."""
    assert len(MESSAGES) > 50
    assert len(ERRORS) > 30
