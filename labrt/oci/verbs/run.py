"""`labrt-oci run ID`: create, start, wait for the end, delete; or leave it once it has started."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace

from labrt import cgroups
from labrt.foreground import undisturbed
from labrt.oci import bundles, handing, lifecycle, waiting
from labrt.oci.words import Option
from labrt.spec import Spec

HELP = "run a bundle's container to its end"
OPTIONS = (
    *bundles.OPTIONS,
    Option("detach", "don't wait for its end", short="d"),
    Option("keep", "don't delete it at its end"),
    Option("no-subreaper", "ignored: what a container leaves running ends with it"),
)
OPERANDS = "ID"


def main(given: SimpleNamespace) -> int:
    spec = bundles.declared(given, given.detach)
    if given.detach:
        bundles.make(_living(spec, detached=True), given)
        return 0
    spec = _living(spec, detached=False, remove=not given.keep)
    with ExitStack() as ending:
        ending.callback(cgroups.remove_top)  # where it was the last in the lab's own
        with undisturbed():
            running = ending.enter_context(lifecycle.create(spec))
        handing.write_pid(given.pid_file, running.pid)  # its terminal is shown here
        return waiting.attend(running)


def _living(spec: Spec, detached: bool, remove: bool = False) -> Spec:
    return replace(spec, life=replace(spec.life, detached=detached, waits=False, remove=remove))
