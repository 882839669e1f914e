"""`labrt run IMAGE [CMD…]`."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from labrt import cgroups, container, interpreter, removal
from labrt.commands.explain import container_arguments
from labrt.declare import declare
from labrt.foreground import attend, stdio, undisturbed
from labrt.images import store
from labrt.options import parsed
from labrt.telling import tell_trace, trace_arguments

HELP = "run a program in a new container"


def arguments(parser: argparse.ArgumentParser) -> None:
    container_arguments(parser)
    trace_arguments(parser)


def main(options: argparse.Namespace) -> int:
    removal.remove_dead()
    wishes = parsed(options)
    spec = declare(store.resolve(options.image), options.args, wishes)
    if wishes.detach:
        from labrt.handle import start_detached  # here: the foreground needs no launcher

        print(start_detached(spec).id)
        return 0
    interpreter.run_sealed(spec)
    with stdio(wishes.interactive) as chosen, ExitStack() as ending:
        ending.callback(cgroups.remove_top)  # where ours was the last
        with undisturbed():
            running = ending.enter_context(container.start(spec, chosen))
        status = attend(running, wishes.interactive)
        out_of_memory = running.oom_killed()
    if out_of_memory:
        print(f"labrt: {spec.life.name} was killed: memory.max is reached", file=sys.stderr)
    tell_trace(options, spec, running.times)
    return status
