"""Calls at the same time: instances that start, or stop, in parallel.

A thread for each, because some subjects return only when the start is done. The times don't depend
on the threads' turns: marks are stamped by a thread of their own as they arrive (`bench.marks`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from bench import interrupts

T = TypeVar("T")


def together(
    calls: Sequence[Callable[[], T]], at_once: int, give_up: Callable[[], None] = lambda: None
) -> list[T | Exception]:
    """Make calls, at most `at_once` at any moment; return what each returned or raised, in order.

    Args:
        give_up: called when the user interrupts it: makes the calls under way end soon. Those that
            haven't begun aren't made.

    Raises:
        bench.interrupts.Interrupted: after all calls under way have ended.
    """
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="instance")
    try:
        futures = [pool.submit(_outcome, call) for call in calls]
        wait(futures)
    except BaseException:
        give_up()
        raise
    finally:
        with interrupts.held():
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _outcome(call: Callable[[], T]) -> T | Exception:
    try:
        return call()
    except Exception as error:
        return error
