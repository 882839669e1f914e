"""Image: from a program's source to its first instance on another host, and again after one line of
it has changed."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from bench import local_registry
from bench.experiments.base import Experiment, Settings, Trial
from bench.other_host import OtherHost
from bench.subjects.base import InstanceFailed
from labrt.errors import LabError

FIRST, UPDATE = "first", "update"
STEPS = ("pack", "ship", "unpack", "start", "total")
KINDS = ("kernel", "guest", "files")


class Image(Experiment):
    name: ClassVar = "image"
    title: ClassVar = "The image on its way"
    question: ClassVar = (
        "How long does a program take from its source to its first instance on another host, and "
        "what has to travel?"
    )
    method: ClassVar = (
        "Two hosts are played by two processes, each with a store of its own that begins empty "
        "(the first has the base image), and between them is a real registry on this machine's "
        "loopback (docker-registry). Pack: the program, one file, is built on top of the base "
        "image; a VM's guest is made of the same image, and its kernel, initramfs and disk become "
        "layers, one file in each. Ship: push and pull, the same code for both, and what the other "
        "side has isn't sent again. Unpack: whatever lies between arrival and a start. Start: the "
        "first one, from the call to the ready mark. Then one line of the program changes, and all "
        "is done again. Launcher and libvirt are running on the second host beforehand."
    )
    limits: ClassVar = (
        "The loopback is faster than any network: the bytes that were sent say more than the time "
        "they took. The guest is as small as a guest can be; a distribution's own has hundreds of "
        "megabytes. What has just been unpacked is still in the page cache. Of a disk, tools that "
        "know its blocks send less than the whole (python -m bench.update)."
    )
    repeats: ClassVar = True

    def unavailable(self) -> str | None:
        if shutil.which("docker-registry") is None:
            return "no registry to ship by; apt-get install docker-registry"
        return None

    def trials(self, settings: Settings) -> int:
        return settings.n or (3 if settings.quick else 10)

    def measure(self, trial: Trial) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="lab-image-") as folder:
                _travel(trial, Path(folder))
        except LabError as error:
            raise InstanceFailed(str(error)) from error

    def failed_row(self) -> tuple[str, str, str]:
        return FIRST, "total", "s"


def _travel(trial: Trial, folder: Path) -> None:
    """Have the program built here, shipped there and started, twice."""
    from labrt.images import interchange

    interchange.save(str(folder / "base"), [trial.workload.image], "oci-archive")
    (folder / "registry").mkdir()
    name, connection = trial.subject.name, trial.conditions.get("connection")
    with (
        local_registry.serving(folder / "registry") as address,
        OtherHost(name, connection) as here,
        OtherHost(name, connection) as there,
    ):
        here.ask("load", file=str(folder / "base"))
        there.ask("open")
        for number, phase in enumerate((FIRST, UPDATE)):
            _once(trial, phase, number, f"{address}/program:{number}", here, there)
        contents = there.ask("contents", name=f"{address}/program:0")["contents"]
        for kind in KINDS:
            trial.record("contents", kind, "B", contents[kind])


def _once(
    trial: Trial, phase: str, number: int, name: str, here: OtherHost, there: OtherHost
) -> None:
    """Bring one version there, and record what each step took."""
    deadline, patience = trial.settings.start_deadline, trial.settings.work_deadline

    def took(host: OtherHost, what: str, **arguments: Any) -> float:
        seconds: float = host.ask(what, patience, **arguments)["took"]
        return seconds

    times = {"pack": took(here, "pack", base=trial.workload.image, number=number, name=name)}
    pushed = here.ask("push", patience, name=name)
    times["ship"] = pushed["took"] + took(there, "pull", name=name)
    times["unpack"] = took(there, "unpack", name=name, workload=asdict(trial.workload))
    times["start"] = took(there, "start", deadline=deadline)
    for step, seconds in {**times, "total": sum(times.values())}.items():
        trial.record(phase, step, "s", seconds)
    trial.record(phase, "sent", "B", pushed["sent"])
