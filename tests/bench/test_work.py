"""bench/work.py: what an instance tells of its work, and the host's own clock between its lines."""

from __future__ import annotations

import pytest

from bench import work
from bench.subjects.base import InstanceFailed


def told(*lines: str) -> work.Work:
    return work.read((second * 10**9, line) for second, line in enumerate(lines))


def test_a_part_lasts_from_its_begin_to_its_end() -> None:
    done = told("lab:init", "lab:begin a", "lab:begin b", "lab:end b 10", "lab:end a 6", "lab:done")
    assert done.parts == {"a": work.Part(3.0, 6), "b": work.Part(1.0, 10)}
    assert (done.parts["a"].each, done.parts["a"].rate) == (0.5, 2.0)


def test_what_is_said_may_have_blanks() -> None:
    assert told("lab:said kernel Linux 6 of today").said == {"kernel": "Linux 6 of today"}


@pytest.mark.parametrize(
    "line",
    ["lab:end a 5", "lab:end b 5", "lab:begin", "lab:end", "lab:end x -1", "lab:said alone"],
)
def test_what_makes_no_sense_is_refused(line: str) -> None:
    with pytest.raises(InstanceFailed, match="makes no sense"):
        told("lab:begin x", line)


@pytest.mark.parametrize("count", ["0", "-1", "many", "1.5", ""])
def test_a_count_is_a_number_above_zero(count: str) -> None:
    with pytest.raises(InstanceFailed, match="makes no sense"):
        told("lab:begin x", f"lab:end x {count}")


def test_two_lines_that_arrive_at_once_are_no_time() -> None:
    with pytest.raises(InstanceFailed, match="too short"):
        work.read([(5, "lab:begin x"), (5, "lab:end x 1")])
