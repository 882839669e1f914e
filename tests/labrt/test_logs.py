"""labrt/logs.py: what a detached container wrote, or the end of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labrt import logs


@pytest.mark.parametrize(
    ("text", "count", "shown"),
    [
        (b"1\n2\n3\n", 0, b""),
        (b"1\n2\n3\n", 1, b"3\n"),
        (b"1\n2\n3\n", 2, b"2\n3\n"),
        (b"1\n2\n3\n", 3, b"1\n2\n3\n"),
        (b"1\n2\n3\n", 9, b"1\n2\n3\n"),
        (b"1\n2\n3", 1, b"3"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"", 5, b""),
        (b"x" * logs.BLOCK + b"\nlast\n", 1, b"last\n"),
        (b"first\n" + b"x" * 3 * logs.BLOCK + b"\nlast\n", 2, b"x" * 3 * logs.BLOCK + b"\nlast\n"),
    ],
)
def test_the_last_lines(tmp_path: Path, text: bytes, count: int, shown: bytes) -> None:
    (tmp_path / "log").write_bytes(text)
    assert text[logs.last_lines(tmp_path, count) :] == shown


def test_where_there_is_no_log_yet_it_has_no_bytes(tmp_path: Path) -> None:
    assert logs.size(tmp_path) == 0
