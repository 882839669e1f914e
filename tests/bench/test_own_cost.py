"""bench/own_cost.py: the bench measures itself, too."""

from __future__ import annotations

import os
import threading
import time

import pytest

from bench import own_cost, tables
from bench.experiments.base import Waiting


def test_a_mark_arrives_after_it_was_written() -> None:
    found = own_cost.arrival(20)
    assert len(found) == 20
    assert min(found) > 0


def test_every_figure_is_measured_and_stands_in_the_table() -> None:
    found = own_cost.measure(20, waiting=10, seconds=0.05)
    assert all(value > 0 for key, value in found.items() if key != "waiting_cpu")
    assert found["arrival"] <= found["arrival_p95"]
    table = tables.own_cost(found | {"run_cpu": 0.031, "run_memory": 73 * 2**20})
    assert len(table.rows) == 9
    assert [row[1] for row in table.rows[-2:]] == ["3.1 % of one core", "73 MiB"]


def test_nothing_stays_open() -> None:
    own_cost.null_start()  # the thread that watches all outputs keeps its epoll descriptor
    before = len(os.listdir("/proc/self/fd"))
    own_cost.measure(5, waiting=50, seconds=0.01)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("busy", [True, False])
def test_cpu_while_waiting_is_told_from_time(busy: bool) -> None:
    waiting = Waiting()
    with waiting.counted():
        until = time.process_time() + 0.1
        while busy and time.process_time() < until:
            pass
        time.sleep(0 if busy else 0.1)
    assert waiting.elapsed >= 0.1
    assert waiting.cpu >= 0.1 if busy else waiting.cpu < 0.05


def test_what_a_subjects_library_computes_in_the_call_is_not_the_benchs() -> None:
    waiting = Waiting()
    with waiting.called():
        until = time.thread_time() + 0.1
        while time.thread_time() < until:
            pass
    assert waiting.cpu < 0.05
    assert waiting.elapsed >= 0.1


def test_what_other_threads_compute_meanwhile_is_the_benchs() -> None:
    def compute() -> None:
        until = time.thread_time() + 0.1
        while time.thread_time() < until:
            pass

    waiting, other = Waiting(), threading.Thread(target=compute)
    with waiting.called():
        other.start()
        other.join()
    assert waiting.cpu > 0.09
