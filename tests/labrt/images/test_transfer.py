"""labrt/images/transfer.py: several at once, and none goes on when one has failed."""

from __future__ import annotations

import threading
import time

import pytest

from labrt.images.store import LAYER_TAR, Descriptor
from labrt.images.transfer import AT_ONCE, Progress, at_once

BLOBS = [Descriptor(LAYER_TAR, f"sha256:{n:064x}", n) for n in range(10)]


def test_what_came_of_each_is_in_order() -> None:
    def move(blob: Descriptor, progress: Progress) -> int:
        time.sleep(0.01 * (blob.size % 3))
        return blob.size

    assert at_once(move, BLOBS, Progress()) == list(range(10))
    assert at_once(move, [], Progress()) == []


def test_several_are_on_their_way_at_once_but_not_all() -> None:
    everybody = threading.Barrier(AT_ONCE)
    moving: list[int] = []
    most: list[int] = []

    def move(blob: Descriptor, progress: Progress) -> None:
        moving.append(1)
        most.append(len(moving))
        if blob.size < AT_ONCE:
            everybody.wait(10)  # broken unless so many are here together
        moving.pop()

    at_once(move, BLOBS, Progress())
    assert max(most) == AT_ONCE


def test_the_first_failure_ends_all() -> None:
    stopped = threading.Event()
    begun: list[int] = []

    def move(blob: Descriptor, progress: Progress) -> None:
        begun.append(blob.size)
        if blob.size == 1:
            raise ValueError("one")
        try:
            while True:
                progress.moved(blob, 1)
                time.sleep(0.001)
        except BaseException:
            stopped.set()
            raise

    with pytest.raises(ValueError, match="one"):
        at_once(move, BLOBS, Progress())
    assert stopped.wait(10)
    assert max(begun) <= AT_ONCE
