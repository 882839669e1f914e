"""labrt/lessons/drawn.py: one student's value is always the same, and lies where it should."""

from __future__ import annotations

from labrt.lessons import drawn


def test_a_number_lies_in_its_range() -> None:
    draw = drawn.number(50, 70)
    assert [draw(own) for own in (0, 69, 70, 12345)] == ["50", "119", "50", "75"]


def test_a_name_is_a_word_and_three_digits() -> None:
    draw = drawn.name(("otter", "raven"))
    assert [draw(own) for own in (0, 1, 2, 1801)] == [
        "otter-100",
        "raven-100",
        "otter-101",
        "raven-100",
    ]


def test_some_of_the_words_are_different_ones() -> None:
    draw = drawn.some(("awk", "sed", "tar"), 2)
    assert [draw(own) for own in range(4)] == ["awk sed", "awk tar", "sed tar", "awk sed"]


def test_an_address_is_one_for_private_use() -> None:
    assert [drawn.address(own) for own in (0, 249, 250)] == ["10.1.1.7", "10.250.1.7", "10.1.2.7"]
