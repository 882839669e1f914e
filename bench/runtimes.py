"""labrt against runc: how long `true` takes from call to exit, in the very same container.

    python -m bench.runtimes [--rounds 40] [--json]

Every way runs the same image with labrt's full posture: namespaces, root mapped to an unprivileged
uid, cgroup with limits, seccomp filter, capabilities, masks. runc gets it as an OCI bundle
(`oci_bundle.py`), whose root is mounted beforehand. The ways take turns (`ways.py`).
"""

from __future__ import annotations

import argparse
import subprocess
import time
from pathlib import Path
from typing import Any

import labrt
from bench import fork_server, oci_bundle, standalone, statistics, ways
from bench.observations import Observation
from bench.oci_runtime import runc
from bench.tables import Table
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import base
from labrt.launching import launcher
from labrt.options import given

LIMITS: dict[str, Any] = {"memory": "256m", "cpus": 1, "pids_limit": 64}
RUNC = "runc run"
LIBRARY = "library"
UNDONE = "library, undone"
BRIDGE = "library, bridge"
COMMAND = "labrt run"
SERVED = "labrt run, fork server"
# How much of runc's time each way may take at most.
TARGETS = {LIBRARY: 0.25, BRIDGE: 0.6, COMMAND: 1.0, SERVED: 1.0}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.runtimes")
    parser.add_argument("--rounds", type=int, default=40, metavar="N", help="samples of each")
    return standalone.main(parser, _measured)


def _measured(options: argparse.Namespace) -> tuple[dict[str, dict[str, Any]], Table]:
    oci_bundle.keep_mounts_private()
    rows, notes = measure(options.rounds)
    found = figures(rows)
    return found, table(found, notes)


def measure(rounds: int) -> tuple[list[Observation], list[str]]:
    """Take `rounds` samples of each way, after a warm-up of two.

    Returns:
        The samples; what could not be measured, and why.

    Raises:
        LabError: no container could be started.
    """
    spec = declare(base.ensure("busybox"), ["true"], given(**LIMITS))
    conditions = {"digest": spec.image_digest, "workload": "true", **LIMITS}
    fork_server.refuse_users_own()
    launcher()
    with oci_bundle.mounted(spec) as bundle:
        served = fork_server.with_it(by_command, {COMMAND: SERVED})
        chosen: list[ways.Way] = [lambda: by_runc(bundle), by_library, by_command, served]
        refused = bridge_refused()
        if refused is None:
            chosen.append(by_bridge)
        rows = ways.in_turns("runtimes", chosen, rounds, conditions)
    return rows, [f"{BRIDGE} is not measured: {refused}."] if refused else []


def by_runc(bundle: Path) -> dict[str, float]:
    """`runc run`, which undoes everything but its root before it ends."""
    begun = time.perf_counter()
    runc.run(bundle)
    return {RUNC: time.perf_counter() - begun}


def by_library(**more: Any) -> dict[str, float]:
    """From the library, the launcher warm."""
    begun = time.perf_counter()
    with labrt.run("busybox", ["true"], **LIMITS, **more) as container:
        if code := container.wait():
            raise LabError("run true from the library", f"exit status {code}")
        ended = time.perf_counter()
        container.wait_undone()
    return {LIBRARY: ended - begun, UNDONE: time.perf_counter() - begun}


def by_bridge() -> dict[str, float]:
    return {BRIDGE: by_library(network="bridge")[LIBRARY]}


def bridge_refused() -> str | None:
    """Return why containers can't be connected to a bridge here, None if they can."""
    try:
        with labrt.run("busybox", ["true"], network="bridge") as container:
            network = container.spec.network
            return None if network and network.mode == "bridge" else "not yet in labrt"
    except LabError as error:
        return str(error)


def by_command() -> dict[str, float]:
    """The command line, as `./lab run` calls it: a new Python each time, or a fork server's."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in LIMITS.items()]
    command = [fork_server.PROGRAM, "run", *options, "busybox", "true"]
    begun = time.perf_counter()
    status = subprocess.run(command, stdin=subprocess.DEVNULL)
    took = time.perf_counter() - begun
    if status.returncode:
        raise LabError("run true by the command line", f"exit status {status.returncode}")
    return {COMMAND: took}


def figures(rows: list[Observation]) -> dict[str, dict[str, Any]]:
    """Return what is told of each way (`ways.figures`), all compared with runc."""
    others = [name for name in statistics.subjects(rows) if name != RUNC]
    return ways.figures(rows, dict.fromkeys(others, RUNC), TARGETS)


def table(found: dict[str, dict[str, Any]], notes: list[str]) -> Table:
    """Return the figures as a table, runc first."""
    return ways.table(found, "true, from call to exit, in the same container (× runc)", notes)


if __name__ == "__main__":
    raise SystemExit(main())
