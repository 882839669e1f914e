"""Marks are stamped as they arrive, by event, and their absence is told with the reason."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from bench.marks import INIT, READY, TAIL_BYTES, MarkReader
from bench.subjects.base import InstanceFailed


@pytest.fixture
def pipe() -> Iterator[tuple[MarkReader, int]]:
    read_end, write_end = os.pipe()
    reader = MarkReader(read_end)
    yield reader, write_end
    reader.close()


def test_marks_are_stamped_in_the_order_they_arrive(pipe: tuple[MarkReader, int]) -> None:
    reader, write_end = pipe
    before = time.monotonic_ns()
    os.write(write_end, b"lab:init\n")
    init = reader.wait(INIT, 5)
    os.write(write_end, b"lab:ready\n")
    ready = reader.wait(READY, 5)
    assert before < init < ready < time.monotonic_ns()
    assert reader.stamp(INIT) == init


def test_the_stamp_is_of_the_arrival_and_not_of_the_asking(pipe: tuple[MarkReader, int]) -> None:
    reader, write_end = pipe
    os.write(write_end, b"lab:ready\n")
    time.sleep(0.2)
    asked = time.monotonic_ns()
    assert asked - reader.wait(READY, 5) > 100_000_000


def test_a_mark_is_a_whole_line_however_it_is_cut(pipe: tuple[MarkReader, int]) -> None:
    reader, write_end = pipe
    os.write(write_end, b"not lab:ready\nlab:re")
    with pytest.raises(InstanceFailed):
        reader.wait(READY, 0.05)
    os.write(write_end, b"ady\r\n")
    assert reader.wait(READY, 5)


def test_a_repeated_mark_keeps_its_first_stamp(pipe: tuple[MarkReader, int]) -> None:
    reader, write_end = pipe
    os.write(write_end, b"lab:init\n")
    first = reader.wait(INIT, 5)
    os.write(write_end, b"lab:init\nlab:ready\n")
    reader.wait(READY, 5)
    assert reader.stamp(INIT) == first


def test_end_of_output_fails_at_once_with_the_last_output_as_evidence() -> None:
    read_end, write_end = os.pipe()
    process = subprocess.Popen(["sh", "-c", "echo lab:init; echo cannot go on"], stdout=write_end)
    os.close(write_end)
    reader = MarkReader(read_end)
    began = time.monotonic()
    with pytest.raises(InstanceFailed, match="output ended before the mark lab:ready"):
        reader.wait(READY, 30)
    assert time.monotonic() - began < 10
    assert reader.tail == "lab:init\ncannot go on\n"
    assert process.wait() == 0


def test_a_missed_deadline_says_so(pipe: tuple[MarkReader, int]) -> None:
    reader, _ = pipe
    with pytest.raises(InstanceFailed, match=r"0\.05 s passed before the mark lab:init"):
        reader.wait(INIT, 0.05)


def test_one_thread_serves_many_sockets() -> None:
    pairs = [socket.socketpair() for _ in range(50)]
    readers = [MarkReader(ours.detach()) for ours, _ in pairs]
    for _, theirs in reversed(pairs):
        theirs.sendall(b"lab:ready\n")
    stamps = [reader.wait(READY, 5) for reader in readers]
    assert stamps == sorted(stamps, reverse=True)
    for reader in readers:
        reader.close()
    for _, theirs in pairs:
        theirs.close()


def test_endless_output_keeps_only_its_tail(pipe: tuple[MarkReader, int]) -> None:
    reader, write_end = pipe
    for _ in range(TAIL_BYTES // 4096 + 2):
        os.write(write_end, b"x" * 4096)
    os.write(write_end, b"\nlab:ready\n")
    reader.wait(READY, 5)
    assert reader.tail.endswith("x\nlab:ready\n")
    assert len(reader.tail) == TAIL_BYTES


def test_closing_twice_is_harmless(pipe: tuple[MarkReader, int]) -> None:
    reader, _ = pipe
    reader.close()
    reader.close()
    assert reader.ended
