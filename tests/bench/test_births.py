"""bench/births.py: the kernel's own time of a fork, also when it is asked for much later."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from bench.births import Births


@pytest.fixture
def births() -> Iterator[Births]:
    listening = Births()
    yield listening
    listening.close()


def refused() -> bool:
    listening = Births()
    listening.close()
    return not listening.heard


needs_events = pytest.mark.skipif(
    refused(),
    reason="process events need root in the host's own namespaces, and CONFIG_PROC_EVENTS",
)


@needs_events
def test_a_birth_lies_between_the_call_and_its_return(births: Births) -> None:
    before = time.monotonic_ns()
    child = subprocess.Popen(["sleep", "0"])
    after = time.monotonic_ns()
    child.wait()
    born = births.of(child.pid)
    assert born is not None and before < born < after


@needs_events
def test_it_is_found_among_many_and_long_after(births: Births) -> None:
    first = subprocess.Popen(["true"])
    first.wait()
    subprocess.run(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do (true); done; sleep 0.2"])
    assert births.of(first.pid) is not None


@needs_events
def test_a_process_that_was_there_before_has_none(births: Births) -> None:
    assert births.of(os.getpid()) is None


def test_who_has_closed_hears_nothing(births: Births) -> None:
    births.close()
    births.close()
    assert births.of(os.getpid()) is None
