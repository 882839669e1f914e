"""The same words as plain text and as Markdown."""

from __future__ import annotations

from labrt.lessons.shown import escape, table, told


def test_a_table_is_aligned_in_text_and_piped_in_markdown() -> None:
    shown = table(("kind", "id"), [("uts", "uts:[1]"), ("a|b", "x")])
    assert shown.text.splitlines() == ["kind  id", "----  -------", "uts   uts:[1]", "a|b   x"]
    assert shown.markdown.splitlines()[2:] == ["| uts | uts:\\[1\\] |", "| a\\|b | x |"]


def test_facts_stand_under_their_title() -> None:
    shown = told("Check", [("saw", "nothing"), ("expected", "*much*")])
    assert repr(shown) == "Check\n  saw:      nothing\n  expected: *much*"
    assert shown.markdown == "**Check**\n\n- saw: nothing\n- expected: \\*much\\*"


def test_markdown_shows_every_character_as_it_is() -> None:
    assert escape("a_b <i> `c` $d$ #e") == "a\\_b \\<i\\> \\`c\\` \\$d\\$ \\#e"
