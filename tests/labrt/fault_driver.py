"""Starts the same container once for each step of the recipe, and fails or dies at that step.

A program of its own, because the runtime's cloning side is single-threaded and a start that is
killed takes its process along. For each fault a forked child starts the container; the driver, as
subreaper, sees every process that outlives it. Prints one JSON list per fault:
[index, step, way, what `start` raised (or null), what was left]. Its argument, if any, is JSON:
the container's options.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from labrt import bridge, cgroups, container, networks, nftables, removal, syscalls
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import store
from labrt.options import Options, given
from labrt.recipe import recipe
from labrt.spec import Spec
from labrt.step import Step

FILES = {"volume": ["/data", "/etc:/host:ro"], "tmpfs": ["/scratch"]}
DEADLINE = 30  # seconds for one fault, after which SIGALRM ends the driver


class At:
    """Called before each step; at the chosen one, raises or kills its own process."""

    def __init__(self, index: int, way: str) -> None:
        self.index = index
        self.way = way

    def __call__(self, step: Step) -> None:
        here = [id(s) for s in self.steps].index(id(step))
        if here == self.index and self.way == "fail":
            raise OSError(5, os.strerror(5))
        if here == self.index:
            os.kill(os.getpid(), signal.SIGKILL)


def attempt(spec: Spec, hook: At) -> str | None:
    """In the forked child: start, and return what it raised."""
    original = container.recipe

    def remembered(spec: Spec) -> list[Step]:
        hook.steps = original(spec)
        return hook.steps

    container.recipe = remembered
    try:
        with container.start(spec, hook=hook) as running:
            running.wait()
    except LabError as error:
        return str(error)
    return None


def left(spec: Spec) -> list[str]:
    cgroup = bool(spec.cgroup) and cgroups.Cgroup(spec.cgroup).exists()
    found = [spec.state_dir] * os.path.exists(spec.state_dir) + [spec.cgroup] * cgroup
    return found + (left_of_network(spec) if spec.network and spec.network.name else [])


def left_of_network(spec: Spec) -> list[str]:
    interfaces = (spec.id, bridge.name_of(networks.DEFAULT))
    ports = [claim.holder for claim in nftables.claims() if claim.holder == spec.id]
    return [name for name in interfaces if bridge.exists(name)] + ports + networks.names()


def children() -> list[str]:
    """Return the names of the processes that are this one's, or have become so."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    names = [Path(f"/proc/{pid}/comm").read_text() for pid in pids]
    return [name.strip().partition(".")[0] for name in names]  # "pasta.avx2"


def one(image: store.Image, index: int, way: str, options: Options) -> list[object]:
    spec = declare(image, ["true"], options)
    name = recipe(spec)[index].name
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        os.write(writer, json.dumps(attempt(spec, At(index, way))).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        told = stream.read()
    while set(children()) - {"pasta"}:  # what the start has made must end by itself
        os.wait()
    if way == "kill":
        removal.remove_dead()  # as the next command does
    while children():  # pasta doesn't
        os.wait()
    return [index, name, way, json.loads(told) if told else "killed", left(spec)]


def main() -> None:
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    image = store.resolve("busybox")
    limits = {} if cgroups.unavailable() else {"memory": "64m", "cpus": "1", "pids_limit": "32"}
    mode = json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}")
    options = given(**limits, **FILES, **mode)
    for index in range(len(recipe(declare(image, ["true"], options)))):
        for way in ("fail", "kill"):
            signal.alarm(DEADLINE)
            print(json.dumps(one(image, index, way, options)), flush=True)


if __name__ == "__main__":
    main()
    sys.exit(0)
