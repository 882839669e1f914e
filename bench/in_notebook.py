"""What notebooks start of the bench: virtual machines that stay, small runs, a registry.

A notebook's last cell ends what is left of them (`labrt.clean_up`). Host side.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import claims, frame, hypervisor, local_registry, statistics, units
from bench.claims import told
from bench.claims.verdict import Verdict
from bench.experiments.base import Settings
from bench.marks import READY
from bench.observations import ROWS, Log, Observation, read
from bench.plan import Planned
from bench.run import Request, prepare
from bench.runner import Runner
from bench.subjects.base import InstanceFailed, Workload
from bench.subjects.vm import Vm, VmInstance
from bench.variants import Variant
from labrt import limits, paths, state
from labrt.errors import LabError
from labrt.images import base
from labrt.lessons import notebook, observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.observe import HasPid
from labrt.lessons.shown import Shown, table

DEADLINE = 30.0  # seconds for a guest to boot, on a machine with much else to do
IMAGE = "busybox"

PHASES = (
    ("T0", "the call", "libvirt starts QEMU"),
    ("T1", "the processor runs", "firmware and\nguest's kernel"),
    ("T2", "process 1 says lab:init", "mounts and\ndrivers"),
    ("T3", "the program says lab:ready", ""),
)


class TimedOut(InstanceFailed):
    """A guest that wasn't ready in time."""


def start(memory: str = "256m", cpus: int = 1, name: str | None = None) -> VmInstance:
    """Start a virtual machine of the image busybox through libvirt and wait until it is ready.

    An emulated guest hangs now and then: one that isn't ready in time is ended, which is said, and
    another started.

    Args:
        memory: guest RAM, "256m".
        cpus: virtual CPUs.
        name: default: one drawn at random.

    Raises:
        LabError: it can't be started, or didn't get ready in time; nothing is left of it.
    """
    image = base.ensure(IMAGE)
    workload = Workload(IMAGE, image.digest, float(cpus), int(limits.size(memory)))
    _subject().prepare(workload)
    called = name or f"lab-notebook-{secrets.token_hex(3)}"
    try:
        try:
            return _ready(workload, called)
        except TimedOut as hung:
            print(f"{hung}; once more")
            return _ready(workload, called)
    except InstanceFailed as failure:
        raise LabError("start a virtual machine", str(failure)) from failure


def _ready(workload: Workload, name: str) -> VmInstance:
    """Start one and wait until it is ready; the notebook's last cell ends it.

    Raises:
        TimedOut: it wasn't ready in time, and has been ended.
        InstanceFailed: it couldn't be started.
    """
    instance = _subject().start(workload, name)
    _running.append(instance)
    try:
        instance.wait_ready(DEADLINE)
    except InstanceFailed as failure:
        raise TimedOut(str(failure)) from failure
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


@dataclass(frozen=True)
class Serving:
    """A registry of this notebook's.

    Attributes:
        address: "127.0.0.1:PORT".
        folder: where it keeps its things.
    """

    address: str
    folder: Path


def try_registry() -> Serving | None:
    """Start a registry on this machine, until the notebook's last cell; where there is none, print
    what is missing and return None."""
    held = ExitStack()
    try:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="registry-")))
        address = held.enter_context(local_registry.serving(folder))
    except LabError as error:
        held.close()
        print(error)
        return None
    notebook.at_clean_up("registries ended", lambda: _closed(held))
    return Serving(address, folder)


def _closed(held: ExitStack) -> int:
    held.close()
    return 1


def elsewhere(*words: str) -> str:
    """Run a labrt command with a LAB_HOME of its own, empty at first: as far as images go, another
    computer. It lasts until the notebook's last cell.

    Returns:
        What the command wrote, output and errors.
    """
    if not _elsewhere:
        folder = Path(tempfile.mkdtemp(prefix="lab-elsewhere-"))
        folder.chmod(0o711)  # the container's root, who isn't ours, must pass through
        _elsewhere.append(folder)
        notebook.at_clean_up("homes elsewhere removed", _leave_elsewhere)
    done = subprocess.run(
        [sys.executable, "-m", "labrt.cli", *words],
        env={**os.environ, "LAB_HOME": str(_elsewhere[0])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout.strip()


_elsewhere: list[Path] = []


def _leave_elsewhere() -> int:
    state.remove_tree(_elsewhere.pop())
    return 1


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
        "; ".join(f"{key}: {mark}" for key, mark, _ in PHASES),
        [Node(key, f"{key}\n{mark}", "round") for key, mark, _ in PHASES],
        [
            Edge(here[0], there[0], f"{here[2]}\n{spent} ms")
            for here, there, spent in zip(PHASES, PHASES[1:], first, strict=False)
        ],
    )
    header = ["start", *(f"{a[0]} to {b[0]}" for a, b in zip(PHASES, PHASES[1:], strict=False))]
    numbered = [[f"{n}", *row] for n, row in enumerate(rows, start=1)]
    return picture.shown() + table([*header, "all, ms"], numbered)


def side_by_side(container: HasPid, machine: VmInstance) -> Shown:
    """Draw what the host has for a container and for a virtual machine, and what each weighs (PSS
    of /proc/PID/smaps_rollup, proc_pid_smaps(5))."""
    (qemu,) = machine.pids()
    parts = machine.extra_memory()
    weights = {pid: observe.weight(pid) for pid in (container.pid, qemu)}
    host = f"the host's kernel: Linux {os.uname().release}"
    labels = {pid: units.text(weight, "B") for pid, weight in weights.items()}
    picture = Graph(
        "A container and a virtual machine on one host",
        f"the container's process weighs {labels[container.pid]}, QEMU {labels[qemu]}",
        [
            Node("box", _labelled(container.pid, labels), "box", host),
            Node("qemu", _labelled(qemu, labels), "box", host),
            Node("program", f"{IMAGE}'s program", "box", "the guest's kernel, in QEMU's memory"),
        ],
        [Edge("qemu", "program", "runs a kernel that runs")],
    )
    rows = [
        ("container: its process", str(container.pid), labels[container.pid]),
        ("virtual machine: QEMU", str(qemu), labels[qemu]),
        ("of that, guest RAM", "", units.text(parts["guest_ram_bytes"], "B")),
        ("of that, the hypervisor's own", "", units.text(parts["hypervisor_bytes"], "B")),
    ]
    return picture.shown() + table(("what the host has", "pid", "PSS"), rows)


def _labelled(pid: int, labels: dict[int, str]) -> str:
    return f"{observe.name(pid)}\npid {pid}, {labels[pid]}"


@dataclass(frozen=True)
class Measured:
    """A small run's rows, failures included.

    Attributes:
        rows: as judges and statistics take them.
        frame: the same as a pandas.DataFrame.
    """

    rows: list[Observation]
    frame: Any

    def medians(self, experiment: str, metric: str = "time") -> Any:
        """Return the medians of one metric, a line for each subject and a column for each phase;
        warm-ups and failures left out."""
        frame = self.frame
        kept = frame[(frame.experiment == experiment) & (frame.metric == metric) & ~frame.warmup]
        return kept.pivot_table(index="subject", columns="phase", values="value", aggfunc="median")

    def of(self, subject: str, experiment: str, phase: str, metric: str = "time") -> list[float]:
        """Return one number's values."""
        mine = statistics.select(
            self.rows, subject=subject, experiment=experiment, phase=phase, metric=metric
        )
        return statistics.ok([row for row in mine if not row.warmup])


def measure(
    subjects: Sequence[str],
    experiments: Sequence[str],
    n: int = 3,
    variants: Sequence[Variant] = (Variant(),),
    **settings: Any,
) -> Measured:
    """Do a small run of the bench; nothing of it is kept. Where none of a subject's instances was
    ready in time, that is said, and it is done once more.

    Args:
        subjects, experiments: as ./lab bench names them.
        n: trials of each.
        variants: conditions to vary.
        settings: others of `bench.experiments.base.Settings`.

    Raises:
        LabError: a subject can't run here, or there is none of that name.
    """
    base.ensure(IMAGE)
    asked = Settings(n=n, round_seconds=None, start_deadline=DEADLINE, **settings)
    done = _run(subjects, experiments, asked, variants)
    if hung := _hung(done.rows):
        print(f"{hung}; once more")
        done = _run(subjects, experiments, asked, variants)
    return done


def _run(
    subjects: Sequence[str],
    experiments: Sequence[str],
    settings: Settings,
    variants: Sequence[Variant],
) -> Measured:
    with tempfile.TemporaryDirectory(prefix="run-", dir=paths.run_dir()) as folder:
        where = Path(folder)
        request = Request(subjects, experiments, IMAGE, None, settings, None, where, variants)
        plan, _ = prepare(request)
        with Log(Path(folder) / ROWS) as log:
            Runner(plan, log, _Told()).run()
        return Measured(read(Path(folder) / ROWS)[0], frame.load(folder))


def _hung(rows: Sequence[Observation]) -> str:
    """Return of which subject no instance of an experiment was ready in time, and what that looked
    like; "" if there is none."""
    measured = {(row.subject, row.experiment) for row in rows if row.status == "ok"}
    lost = (row for row in rows if (row.subject, row.experiment) not in measured)
    hung = (row for row in lost if f"before the mark {READY}" in row.reason)
    return next((f"{row.subject}, {row.experiment}: {row.reason}" for row in hung), "")


def try_measure(*subjects: str, experiments: Sequence[str], **options: Any) -> Measured | None:
    """As `measure`; where it can't be done, print why and return None."""
    try:
        return measure(subjects, experiments, **options)
    except LabError as error:
        print(error)
        return None


def verdict(rows: Sequence[Observation], claim: str) -> Verdict:
    """Return what rows say of one claim, "C23"."""
    return next(each.verdict for each in claims.judge(rows) if each.claim.id == claim)


def verdicts(rows: Sequence[Observation]) -> Shown:
    """Draw which claims the experiments' rows have decided, with a table beside it."""
    judged = [each for each in claims.judge(rows) if each.measured]
    asked = sorted({row.experiment for row in rows})
    picture = Graph(
        f"{len(judged)} claims judged by {', '.join(asked)}",
        "; ".join(f"{each.claim.id}: {each.verdict.verdict}" for each in judged),
        [
            *(Node(f"e{at}", name, "round") for at, name in enumerate(asked)),
            *(
                Node(each.claim.id, f"{each.claim.id}\n{each.verdict.verdict}", "box", "claims")
                for each in judged
            ),
        ],
        [
            Edge(f"e{asked.index(name)}", each.claim.id)
            for each in judged
            for name in each.claim.experiments
            if name in asked
        ],
    )
    table_of = [
        (each.claim.id, each.claim.text, each.verdict.verdict, told.samples(each))
        for each in judged
    ]
    return picture.shown() + table(("", "claim", "verdict", "samples"), table_of)


class _Told:
    """Prints what a run has to note, and nothing else."""

    def begin(self, planned: list[Planned], limit: float | None = None) -> None:
        pass

    def doing(self, trial: Planned) -> None:
        pass

    def done(self, trial: Planned) -> None:
        pass

    def note(self, text: str) -> None:
        print(text)
