"""labrt as an OCI runtime against runc: `true` from call to exit, by hand and by Podman.

    python -m bench.oci [--rounds 40] [--json]

By hand, both run the very same bundle with labrt's full posture (`oci_bundle.py`). By Podman, both
are given by path: `podman --runtime PATH run --rm`, which calls a runtime three times: create,
start, delete. The ways take turns (`ways.py`).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import fork_server, oci_bundle, oci_cgroups, standalone, ways
from bench.observations import Observation
from bench.oci_runtime import Runtime, runc
from bench.runtimes import LIMITS
from bench.subjects import podman
from bench.subjects.base import Workload
from bench.tables import Table
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import base
from labrt.options import given

PROGRAM = Path(sys.executable).parent / "labrt-oci"
BUNDLE = {"runc run": runc, "labrt-oci run": Runtime(str(PROGRAM))}
PODMAN = {"podman, runc": "runc", "podman, labrt-oci": str(PROGRAM)}
SERVED = {name: f"{name}, fork server" for name in ("labrt-oci run", "podman, labrt-oci")}
AGAINST = {
    name: "podman, runc" if "podman" in name else "runc run" for name in (*SERVED, *SERVED.values())
}
TARGETS = dict.fromkeys(AGAINST, 1.0)
CGROUP = "oci-bench"  # of Podman's containers


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.oci")
    parser.add_argument("--rounds", type=int, default=40, metavar="N", help="samples of each")
    return standalone.main(parser, _measured)


def _measured(options: argparse.Namespace) -> tuple[dict[str, dict[str, Any]], Table]:
    oci_bundle.keep_mounts_private()
    rows, notes = measure(options.rounds)
    found = ways.figures(rows, AGAINST, TARGETS)
    title = "true, from call to exit (× the same with runc)"
    return found, ways.table(found, title, notes)


def measure(rounds: int) -> tuple[list[Observation], list[str]]:
    """Take `rounds` samples of each way, after a warm-up of two.

    Returns:
        The samples; what could not be measured, and why.

    Raises:
        LabError: no container could be started.
    """
    if not PROGRAM.exists():
        raise LabError(f"call {PROGRAM}", "it isn't there", remedy="./lab setup")
    fork_server.refuse_users_own()
    spec = declare(base.ensure("busybox"), ["true"], given(**LIMITS))
    conditions = {"digest": spec.image_digest, "workload": "true", **LIMITS}
    with oci_bundle.mounted(spec) as bundle, _by_podman() as (engine_ways, notes):
        by_hand = {name: _by_hand(name, runtime, bundle) for name, runtime in BUNDLE.items()}
        chosen = by_hand | engine_ways
        served = [
            fork_server.with_it(way, SERVED) for name, way in chosen.items() if name in SERVED
        ]
        return ways.in_turns("oci", [*chosen.values(), *served], rounds, conditions), notes


def _by_hand(name: str, runtime: Runtime, bundle: Path) -> ways.Way:
    def run() -> dict[str, float]:
        begun = time.perf_counter()
        runtime.run(bundle)
        return {name: time.perf_counter() - begun}

    return run


@contextmanager
def _by_podman() -> Iterator[tuple[dict[str, ways.Way], list[str]]]:
    """The ways by Podman, with an image copied to it; none, and why, where it doesn't serve."""
    subject = podman.Podman()
    if reason := subject.unavailable():
        yield {}, [f"By Podman it is not measured: {reason}."]
        return
    image = base.ensure("busybox")
    workload = Workload(image=image.name, digest=image.digest)
    subject.prepare(workload)
    try:
        kept = subject.kept(workload)
        yield {name: _called(name, runtime, kept) for name, runtime in PODMAN.items()}, []
    finally:
        oci_cgroups.remove(CGROUP)
        subject.close()


def _called(name: str, runtime: str, image: str) -> ways.Way:
    path = shutil.which(runtime)
    limits = ("--memory=256m", "--cpus=1", "--pids-limit=64", f"--cgroup-parent=/{CGROUP}")
    options = ("--rm", "--network=none", "--log-driver=passthrough", *limits, *podman.ulimits())
    command = [*podman.engine().command, f"--runtime={path}", "run", *options, image, "true"]

    def run() -> dict[str, float]:
        begun = time.perf_counter()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        took = time.perf_counter() - begun
        if done.returncode:
            raise LabError(f"run true by {name}", " ".join(done.stderr.split())[-300:])
        return {name: took}

    return run


if __name__ == "__main__":
    raise SystemExit(main())
