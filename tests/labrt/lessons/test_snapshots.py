"""labrt/lessons/snapshots.py: only what has changed, and nothing in it can leave its box."""

from __future__ import annotations

from labrt.lessons import snapshots


def test_only_the_changed_lines_are_shown() -> None:
    told = snapshots.diff("a\nb\nc\n", "a\nx\nc\nd\n")
    assert told.text.splitlines() == ["-b", "+x", "+d"]
    assert told.markdown == "```diff\n-b\n+x\n+d\n```"


def test_lines_that_look_like_a_header_are_lines() -> None:
    assert snapshots.diff("", "-- x\n").text == "+-- x"
    assert snapshots.diff("-- x\n", "").text == "--- x"


def test_no_change_is_said() -> None:
    assert snapshots.diff("same", "same\n").text == snapshots.UNCHANGED


def test_a_fence_in_the_text_does_not_end_the_box() -> None:
    told = snapshots.diff("", "```\n")
    assert told.markdown.startswith("````diff\n")
