"""bench/meminfo.py: what the kernel says about memory, against what psutil reads."""

from __future__ import annotations

import mmap
import os

import psutil
import pytest

from bench import meminfo


def test_the_sizes_of_this_process_are_those_psutil_finds() -> None:
    found = meminfo.of_processes([os.getpid()])
    theirs = psutil.Process().memory_full_info()
    assert found.pss == pytest.approx(theirs.pss, rel=0.05)
    assert found.uss == pytest.approx(theirs.uss, rel=0.05)
    assert found.uss <= found.pss <= found.rss


def test_sizes_are_summed_over_processes() -> None:
    one = meminfo.of_processes([os.getpid()])
    two = meminfo.of_processes([os.getpid(), os.getpid()])
    assert two.rss == pytest.approx(2 * one.rss, rel=0.05)


def test_memory_that_is_touched_is_counted() -> None:
    size = 32 * 2**20
    before = meminfo.of_processes([os.getpid()])
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area.write(b"x" * size)
        after = meminfo.of_processes([os.getpid()])
    assert after.uss - before.uss == pytest.approx(size, rel=0.1)


def test_the_most_that_this_process_has_had_stays_known() -> None:
    size = 64 * 2**20
    before = meminfo.own()
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area.write(b"x" * size)
    assert meminfo.own_peak() >= before + 0.9 * size
    assert meminfo.own_peak() > meminfo.own()


def test_a_process_that_is_gone_is_an_error_and_not_zero() -> None:
    with pytest.raises(OSError):
        meminfo.of_processes([2**22 + 1])


def test_the_host_has_memory() -> None:
    assert 0 < meminfo.available() < meminfo.total()
    assert meminfo.total() == psutil.virtual_memory().total
