"""Quoted values read back unchanged, by the rules of each reader."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seldon_spec.deploy.dockerfile import quoting

one_line = st.text(st.characters(exclude_characters="\r\n\x00", exclude_categories=["Cs"]))
awkward = st.text(st.sampled_from("\\\"'$`#{} a=[*?"))


def read_word(text: str, *, spaces_part: bool = True) -> str:
    """Read one word as a builder reads the value of an ENV, a LABEL or a COPY; a variable fails the test.

    Spaces part the words of an ENV; an element of a list is one word, with its spaces.

    Source: Dockerfile reference, "Environment replacement" and "Parser directives: escape".
    """
    value, quote, index = "", "", 0
    while index < len(text):
        character = text[index]
        if character == "\\" and quote != "'":
            index += 1
            is_escape = not quote or text[index] in '"$\\'
            value += text[index] if is_escape else "\\" + text[index]
        elif character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        else:
            assert quote == "'" or character != "$", f"a variable would be put in: {text}"
            assert quote or not (spaces_part and character.isspace()), f"the word would end early: {text}"
            value += character
        index += 1
    assert not quote, f"an open quote: {text}"
    return value


@given(one_line | awkward)
def test_a_value_reads_back(value: str) -> None:
    assert read_word(quoting.quote_value(value, "x")) == value


@given(awkward)
def test_a_value_never_continues_its_line(value: str) -> None:
    assert not quoting.quote_value(value, "x").endswith("\\")


@settings(max_examples=50, deadline=None)
@given(st.lists(one_line | awkward, min_size=1))
def test_a_real_shell_reads_the_words_as_they_were(words: list[str]) -> None:
    command = "printf '%s\\0' " + " ".join(quoting.quote_shell(word, "x") for word in words)
    printed = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=True).stdout
    assert printed == b"".join(word.encode() + b"\0" for word in words)


@given(st.lists(one_line | awkward))
def test_a_command_reads_back(words: list[str]) -> None:
    text = quoting.quote_exec(words)
    assert json.loads(text) == words
    assert "\n" not in text


@given(st.lists(one_line.filter(bool) | awkward.filter(bool), min_size=1))
def test_a_path_in_json_form_names_that_file_alone(paths: list[str]) -> None:
    text = quoting.quote_copy(paths, "./")
    if not text.startswith("["):
        assert text.split(" ") == [*paths, "./"]
        return
    *sources, target = [read_word(word, spaces_part=False) for word in json.loads(text)]
    assert target == "./"
    assert [unpattern(source) for source in sources] == paths


def unpattern(pattern: str) -> str:
    """The one path that a builder's pattern matches; a wildcard left bare fails the test."""
    path, index = "", 0
    while index < len(pattern):
        if pattern[index] == "\\":
            index += 1
        elif pattern[index] == "[":
            assert pattern[index + 2] == "]"
            index, path = index + 3, path + pattern[index + 1]
            continue
        else:
            assert pattern[index] not in "*?"
        path += pattern[index]
        index += 1
    return path


@pytest.mark.parametrize("quote", [quoting.quote_value, quoting.quote_shell], ids=["value", "shell"])
@pytest.mark.parametrize("character", ["\n", "\r", "\0"], ids=["line-feed", "carriage-return", "nul"])
def test_a_line_break_is_refused_by_name(quote: Callable[[str, str], str], character: str) -> None:
    with pytest.raises(ValueError, match=r"image\.labels\.x"):
        quote(f"a{character}b", "image.labels.x")


def test_a_path_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="line break"):
        quoting.quote_copy(["a\nb"], "./")


def test_a_command_with_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        quoting.quote_exec(["a\0b"])


@given(st.text())
def test_a_comment_stays_on_its_line(text: str) -> None:
    assert len(quoting.to_comment(text).splitlines()) <= 1
