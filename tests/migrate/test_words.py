"""Words of a shell's command and of a Dockerfile: quotes, escapes, variables and operators."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.migrate.shell_lexer import UnclosedQuote, Word, read_whole, read_words

KNOWN = {"A": "one", "EMPTY": ""}


def _texts(words: list[Word]) -> list[str]:
    return [word.text for word in words]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("a  b\tc", ["a", "b", "c"], id="white-space"),
        pytest.param("'a b' \"c d\"e", ["a b", "c de"], id="quotes"),
        pytest.param(r"a\ b \$A \\", ["a b", "$A", "\\"], id="escapes"),
        pytest.param(r'"\$A \q \""', [r'$A \q "'], id="escapes-in-double-quotes"),
        pytest.param("$A ${A}x '$A' \"$A\"", ["one", "onex", "$A", "one"], id="variables"),
        pytest.param("${B:-two} ${EMPTY:-three} ${EMPTY-four} ${A:-five}", ["two", "three", "", "one"], id="defaults"),
        pytest.param("5$ a$", ["5$", "a$"], id="a-dollar-alone"),
        pytest.param("'' \"\"", ["", ""], id="empty"),
        pytest.param("a=b#c", ["a=b#c"], id="a-hash-within"),
    ],
)
def test_words_are_what_a_shell_makes_of_them(text: str, words: list[str]) -> None:
    assert _texts(read_words(text, KNOWN, is_shell=True)) == words


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        pytest.param("$B", ("B",), id="no-value"),
        pytest.param("${A%.*}", ("A",), id="pattern"),
        pytest.param("$(date)", ("$(",), id="command"),
        pytest.param("`date`", ("`…`", "`…`"), id="old-command"),
        pytest.param("$1", ("$1",), id="argument"),
        pytest.param('"$@"', ("$@",), id="all-arguments"),
    ],
)
def test_what_cannot_be_known_is_named(text: str, unknown: tuple[str, ...]) -> None:
    assert read_words(text, KNOWN, is_shell=True)[0].unknown == unknown


@pytest.mark.parametrize("text", ["'a", '"a', 'a "b\\"'])
def test_a_quotation_mark_that_is_left_open_is_refused(text: str) -> None:
    with pytest.raises(UnclosedQuote):
        read_words(text, {})


def test_operators_stand_alone_and_comments_are_left_out() -> None:
    words = read_words("cd /a&&exec x>log;y # z\nw", {}, is_shell=True)
    assert _texts(words) == ["cd", "/a", "&&", "exec", "x", ">", "log", ";", "y", "\n", "w"]
    assert [word.text for word in words if word.is_operator] == ["&&", ">", ";", "\n"]


@pytest.mark.parametrize("text", ["$A", "${A}", '"$A"'])
def test_a_word_that_is_one_variable_says_so(text: str) -> None:
    assert read_words(text, KNOWN)[0].is_bare


@pytest.mark.parametrize("text", ["x$A", "$A$A", "${A:-b}", "'$A'"])
def test_a_word_that_is_more_does_not(text: str) -> None:
    assert not read_words(text, KNOWN)[0].is_bare


def test_the_old_form_keeps_its_spaces() -> None:
    assert read_whole('a  "b c" $A', KNOWN).text == "a  b c one"


def test_another_character_can_escape() -> None:
    assert _texts(read_words("a` b C:\\x", {}, escape="`")) == ["a b", "C:\\x"]


@given(st.text(alphabet="ab '\"\\\t", max_size=30))
def test_without_variables_it_agrees_with_shlex(text: str) -> None:
    """Only an escape at the very end is none for shlex, which refuses it."""
    try:
        expected = shlex.split(text)
    except ValueError:
        return
    assert _texts(read_words(text, {}, is_shell=True)) == expected


@given(st.text(max_size=60), st.booleans())
def test_any_text_gives_words_or_is_refused(text: str, is_shell: bool) -> None:
    try:
        words = read_words(text, {}, is_shell=is_shell)
    except UnclosedQuote:
        return
    assert [word.start for word in words] == sorted({word.start for word in words})
