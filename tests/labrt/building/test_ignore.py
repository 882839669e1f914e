"""labrt/building/ignore.py: .dockerignore, as Docker reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labrt.building.ignore import ignored
from labrt.errors import LabError


@pytest.mark.parametrize(
    ("patterns", "out", "kept"),
    [
        ("foo", ["foo", "foo/bar"], ["x/foo", "foobar"]),
        ("/foo/", ["foo", "foo/bar"], ["x/foo"]),
        ("*/temp*", ["a/temp", "a/temperature/x"], ["temp", "a/b/temp"]),
        ("**/*.pyc", ["a.pyc", "a/b/c.pyc"], ["a.py"]),
        ("temp?", ["tempa"], ["temp", "tempab"]),
        ("./a/../b", ["b"], ["a"]),
        ("*.md\n!README.md", ["a.md"], ["README.md", "x/a.md"]),
        ("!README.md\n*.md", ["README.md"], []),
        ("docs\n!docs/kept", ["docs", "docs/x"], ["docs/kept", "docs/kept/x"]),
        ("# foo\n\n  foo  ", ["foo"], ["# foo"]),
        ("*\n!src", ["a", "b/c"], ["src", "src/a"]),
        ("a/**", ["a/b", "a/b/c"], ["a"]),
        ("**/a/b", ["a/b", "x/y/a/b/c"], ["xa/b"]),
        ("[a-c]x\n[^d]y", ["bx", "ey"], ["dx", "dy"]),
        ("\\*a\nb.c", ["*a", "b.c"], ["xa", "bxc"]),
        (".\n!", [], ["a"]),
    ],
)
def test_the_last_pattern_that_matches_decides(
    tmp_path: Path, patterns: str, out: list[str], kept: list[str]
) -> None:
    (tmp_path / ".dockerignore").write_text(patterns)
    excluded = ignored(tmp_path)
    assert [path for path in (*out, *kept) if excluded(path)] == out


def test_without_a_file_nothing_is_left_out(tmp_path: Path) -> None:
    assert not ignored(tmp_path)("anything")


@pytest.mark.parametrize("pattern", ["[a", "a\\", "[z-a]"])
def test_a_pattern_that_is_none_is_refused(tmp_path: Path, pattern: str) -> None:
    (tmp_path / ".dockerignore").write_text(pattern)
    with pytest.raises(LabError, match="is none"):
        ignored(tmp_path)
