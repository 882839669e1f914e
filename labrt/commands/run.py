"""`labrt run IMAGE [CMD…]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from labrt import container, interpreter, removal
from labrt.commands.explain import container_arguments
from labrt.declare import declare
from labrt.foreground import attend, stdio
from labrt.handle import Handle
from labrt.images import store
from labrt.options import parsed
from labrt.perform import Timed
from labrt.spec import Spec

HELP = "run a program in a new container"


def arguments(parser: argparse.ArgumentParser) -> None:
    container_arguments(parser)
    parser.add_argument("--trace", action="store_true", help="print each step with its time")


def main(options: argparse.Namespace) -> int:
    removal.remove_dead()
    wishes = parsed(options)
    spec = declare(store.resolve(options.image), options.args, wishes)
    if wishes.detach:
        print(start_detached(spec))
        return 0
    interpreter.run_sealed(spec)
    with stdio(wishes.interactive) as chosen, container.start(spec, chosen) as running:
        status = attend(running, wishes.interactive)
        out_of_memory = running.oom_killed()
    if out_of_memory:
        print(f"labrt: {spec.life.name} was killed: memory.max is reached", file=sys.stderr)
    if options.trace:
        sys.stderr.write(trace_table(running.trace))
    return status


def start_detached(spec: Spec) -> str:
    """Create and start a container that outlives us; return its id, as Docker does."""
    container.create(spec)
    handle = Handle(Path(spec.state_dir))
    try:
        handle.start()
    except BaseException:
        handle.remove(force=True)
        raise
    return handle.id


def trace_table(trace: Sequence[Timed]) -> str:
    """Return the performed steps as text: when each began after the first (ms), how long (µs)."""
    first = trace[0].start
    lines = [f"{'at ms':>8} {'took µs':>9}  side      step"]
    for timed in trace:
        at, took = (timed.start - first) / 1e6, timed.duration / 1e3
        lines.append(f"{at:8.3f} {took:9.1f}  {timed.side:9} {timed.name}")
    end = (trace[-1].start + trace[-1].duration - first) / 1e6
    lines.append(f"{end:8.3f}            execve")
    return "\n".join(lines) + "\n"
