"""What notebooks start of the bench: virtual machines that stay, small runs. A notebook's last cell
ends what is left of them (`labrt.clean_up`). Host side.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import frame, hypervisor
from bench.experiments.base import Settings
from bench.observations import ROWS, Log
from bench.plan import Planned
from bench.run import Request, prepare
from bench.runner import Runner
from bench.subjects.base import InstanceFailed, Workload
from bench.subjects.vm import Vm, VmInstance
from labrt import limits, paths
from labrt.errors import LabError
from labrt.images import base
from labrt.lessons import notebook
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.shown import Shown, table

DEADLINE = 60.0  # seconds for a guest to boot, on a machine with much else to do
IMAGE = "busybox"

PHASES = (
    ("T0", "the call", "libvirt starts QEMU"),
    ("T1", "the processor runs", "firmware, then the guest's kernel"),
    ("T2", "process 1 says lab:init", "mounts, drivers, the image's program"),
    ("T3", "the program says lab:ready", ""),
)


def start(memory: str = "256m", cpus: int = 1, name: str | None = None) -> VmInstance:
    """Start a virtual machine of the image busybox through libvirt and wait until it is ready.

    Args:
        memory: guest RAM, "256m".
        cpus: virtual CPUs.
        name: default: one drawn at random.

    Raises:
        LabError: it can't be started, or didn't get ready in time; nothing is left of it.
    """
    image = base.ensure(IMAGE)
    workload = Workload(IMAGE, image.digest, float(cpus), int(limits.size(memory)))
    subject = _subject()
    subject.prepare(workload)
    try:
        instance = subject.start(workload, name or f"lab-notebook-{secrets.token_hex(3)}")
        _running.append(instance)
        instance.wait_ready(DEADLINE)
    except InstanceFailed as failure:
        raise LabError("start a virtual machine", str(failure)) from failure
    return instance


def try_start(memory: str = "256m", cpus: int = 1) -> VmInstance | None:
    """As `start`; where it can't be done, print why and return None."""
    try:
        return start(memory, cpus)
    except LabError as error:
        print(error)
        return None


_opened: list[Vm] = []
_running: list[VmInstance] = []


def _subject() -> Vm:
    """Return the connection that all machines of this notebook share."""
    if not _opened:
        if reason := hypervisor.no_libvirt():
            raise LabError("start a virtual machine", reason)
        _opened.append(Vm())
        notebook.at_clean_up("virtual machines ended", end)
    return _opened[0]


def end() -> int:
    """End every virtual machine that this notebook has started, and return how many still ran."""
    living = [instance for instance in _running if instance.pids()]
    with ExitStack() as all_of_them:  # one that fails doesn't keep the others
        for subject in _opened:
            all_of_them.callback(subject.close)
        for instance in _running:
            all_of_them.callback(instance.destroy)
        _opened.clear()
        _running.clear()
    return len(living)


def phases(*instances: VmInstance) -> Shown:
    """Draw the phases of a start between its four stamps, with a table beside it (milliseconds of
    the host's clock; docs/architecture.md)."""
    rows = []
    for instance in instances:
        stamps = instance.stamps
        times = [stamps.t0, stamps.t1, stamps.t2, stamps.t3]
        spent = [(b - a) / 1e6 for a, b in zip(times, times[1:], strict=False) if a and b]
        rows.append([f"{each:.0f}" for each in (*spent, sum(spent))])
    first = rows[0]
    picture = Graph(
        "Phases of a start",
        "; ".join(f"{key}, {mark}, then {what}" for key, mark, what in PHASES),
        [Node(key, f"{key}\n{mark}", "round") for key, mark, _ in PHASES],
        [
            Edge(here[0], there[0], f"{here[2]}: {spent} ms")
            for here, there, spent in zip(PHASES, PHASES[1:], first, strict=False)
        ],
    )
    header = ["start", *(f"{a[0]} to {b[0]}" for a, b in zip(PHASES, PHASES[1:], strict=False))]
    numbered = [[f"{n}", *row] for n, row in enumerate(rows, start=1)]
    return picture.shown() + table([*header, "all, ms"], numbered)


def measure(
    subjects: Sequence[str], experiments: Sequence[str], n: int = 3, **settings: Any
) -> Any:
    """Do a small run of the bench and return its rows as a pandas.DataFrame, failures included.

    Args:
        subjects, experiments: as ./lab bench names them.
        n: trials of each.
        settings: others of `bench.experiments.base.Settings`.

    Raises:
        LabError: a subject can't run here, or there is none of that name.
    """
    base.ensure(IMAGE)
    asked = Settings(n=n, round_seconds=None, start_deadline=DEADLINE, **settings)
    with tempfile.TemporaryDirectory(prefix="run-", dir=paths.run_dir()) as folder:
        request = Request(subjects, experiments, IMAGE, None, asked, None, Path(folder))
        plan, _ = prepare(request)
        with Log(Path(folder) / ROWS) as log:
            Runner(plan, log, _Told()).run()
        return frame.load(folder)


class _Told:
    """Prints what a run has to note, and nothing else."""

    def begin(self, planned: list[Planned]) -> None:
        pass

    def doing(self, trial: Planned) -> None:
        pass

    def done(self, trial: Planned) -> None:
        pass

    def note(self, text: str) -> None:
        print(text)
