"""labrt/building/words.py: quotes and variables, as Docker's reference has them."""

from __future__ import annotations

import pytest

from labrt.building.words import WordError, expand, split

VALUES = {"a": "A", "empty": "", "two": "x y"}


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("$a", "A"),
        ("${a}", "A"),
        ("$a_b", ""),
        ("${a}_b", "A_b"),
        ("$nosuch", ""),
        ("\\$a", "$a"),
        ("\\${a}", "${a}"),
        ("'$a'", "$a"),
        ('"$a"', "A"),
        ('"\\$a \\x \\""', '$a \\x "'),
        ("a\\ b", "a b"),
        ("$two", "x y"),
        ("$", "$"),
        ("100%$", "100%$"),
        ("\\", "\\"),
        ("${nosuch:-b}", "b"),
        ("${empty:-b}", "b"),
        ("${empty-b}", ""),
        ("${a:-b}", "A"),
        ("${nosuch:-${a}b}", "Ab"),
        ("${nosuch:-'b }'}", "b }"),
        ("${a:+b}", "b"),
        ("${empty:+b}", ""),
        ("${empty+b}", "b"),
        ("${nosuch:+b}", ""),
        ("${a:?wrong}", "A"),
        ("ä$a", "äA"),
    ],
)
def test_variables_are_put_in_and_quotes_taken_off(word: str, found: str) -> None:
    assert expand(word, VALUES) == found


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("'a", "closing '"),
        ('"a', 'closing "'),
        ("${a", "not supported"),
        ("${a:-b", "closing }"),
        ("${}", "no name"),
        ("${a#x}", "not supported"),
        ("${a:x}", "not supported"),
        ("${nosuch:?is needed}", "nosuch: is needed"),
        ("${empty:?}", "it is not set"),
    ],
)
def test_what_is_no_word_is_refused(word: str, said: str) -> None:
    with pytest.raises(WordError, match=said):
        expand(word, VALUES)


def test_another_escape() -> None:
    assert expand("`$a C:\\$a", VALUES, "`") == "$a C:\\A"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("a='x y' \"b c\"=d", ["a='x y'", '"b c"=d']),
        ("a\\ b c", ["a\\ b", "c"]),
        ('"a\\" b" c', ['"a\\" b"', "c"]),
        ("'a\\' b", ["'a\\'", "b"]),
        ("", []),
    ],
)
def test_words_end_at_white_space_outside_quotes(text: str, words: list[str]) -> None:
    assert split(text) == words
