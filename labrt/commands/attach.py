"""`labrt attach CONTAINER`: see what a detached container writes, type into it.

Ctrl-P Ctrl-Q leaves it alone again; so does Ctrl-C, unless it has a terminal, which gets it.
"""

from __future__ import annotations

import _thread
import argparse
import os
import sys
import threading

from labrt import relay
from labrt.handle import Handle, find

HELP = "show a detached container's output, type into it"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("--no-stdin", action="store_true", help="only look")


def main(options: argparse.Namespace) -> int:
    return watch(find(options.container), not options.no_stdin)


def watch(handle: Handle, typed: bool, since: int | None = None) -> int:
    """Show a container's output until it ends or the user leaves it.

    Args:
        typed: whether standard input goes to it.
        since: byte of its log to begin at, None for what comes from now on.

    Returns:
        Its exit code; 0 if the user has left it.
    """
    terminal = handle.spec.process.terminal
    output = handle.logs(follow=True, since=since)
    way = handle.input() if typed or terminal else -1
    if typed and way >= 0:
        threading.Thread(target=_type, args=(way,), daemon=True).start()
    try:
        with relay.raw(0 if typed and terminal else -1), relay.sized(way if terminal else -1):
            for data in output:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        return 0
    return handle.wait() or 0


def _type(way: int) -> None:
    """Beside the output: pass on what is typed, until the detach keys or the end of it."""
    try:
        if relay.type_into(way):
            _thread.interrupt_main()
    except OSError:
        pass  # the container has closed its end
    finally:
        os.close(way)
