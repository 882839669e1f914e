"""labrt/lessons/queues.py and entering.py: one key, two namespaces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import labrt
from labrt.lessons import entering, queues

KEY = 90210
pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def queue() -> Iterator[int]:
    assert queues.make_queue(KEY) == "made"
    yield KEY
    queues.remove_queue(KEY)


def test_one_key_is_used_once_in_each_namespace(queue: int) -> None:
    assert queues.make_queue(queue) == "File exists"
    with labrt.run("busybox", ["sleep", "600"]) as box:
        assert queues.keys(box) == []
        assert queues.make_queue(queue, box) == "made"
        assert queues.keys(box) == [queue]
        assert queues.make_queue(queue, box) == "File exists"
    found = queues.keys()
    assert queue in found


def test_a_removed_queue_is_gone_and_may_be_removed_again(queue: int) -> None:
    queues.remove_queue(queue)
    queues.remove_queue(queue)
    found = queues.keys()
    assert queue not in found


def test_a_segment_is_known_by_its_size() -> None:
    with labrt.run("busybox", ["sleep", "600"]) as box:
        assert entering.output(box, "ipc", "ipcmk", "-M", "12345")
        assert queues.segments(box) == [12345]


def test_what_cannot_be_entered_writes_nothing() -> None:
    with labrt.run("busybox", ["true"]) as ended:
        ended.wait_undone()
        assert entering.output(ended, "ipc", "true") == ""
        assert queues.keys(ended) == []
