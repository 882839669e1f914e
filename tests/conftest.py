"""What all tests share."""

from __future__ import annotations

import gc
import signal

# Who starts the tests in the background, as shells and CI do, has them ignore Ctrl-C; and what a
# process ignores, those that it starts ignore, too (signal(7)).
signal.signal(signal.SIGINT, signal.default_int_handler)
# timeout(1) and its like ask by SIGTERM: that ends the tests as Ctrl-C does, with what they undo.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What is there by now stays; whoever collects garbage needn't look through it every time."""
    gc.collect()
    gc.freeze()
