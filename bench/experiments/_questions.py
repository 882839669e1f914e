"""What the isolation scorecard asks, and what of the probe's answers (bench/probe/probe.c) concerns
the host.

An answer is what of the *host* is seen or reached: a VM may load modules as it likes, into a kernel
of its own. What it has of its own kind stands beside it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Host:
    """What the host says of itself: boot id, its namespaces ("net:[4026531840]"), its name, and the
    devices of its mounted file systems ("0:21")."""

    boot_id: str
    namespaces: frozenset[str]
    name: str
    mounts: frozenset[str]


def host() -> Host:
    """Return the facts of this host, as this process sees them."""
    namespaces = Path("/proc/self/ns")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return Host(
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        namespaces=frozenset(os.readlink(kind) for kind in namespaces.iterdir()),
        name=os.uname().nodename,
        mounts=frozenset(line.split()[2] for line in mounts),
    )


@dataclass(frozen=True)
class Answers:
    """What one instance's probe has said, and what the host knows of that instance.

    Attributes:
        visible: the host sees the probe as a process.
        uids: that the instance's processes have on the host.
    """

    said: dict[str, str]
    host: Host
    visible: bool
    uids: frozenset[int]

    @property
    def shares_kernel(self) -> bool:
        return self.said["boot_id"] == self.host.boot_id

    def number(self, key: str) -> int:
        """The number that an answer is or begins with."""
        return int(self.said[key].split()[0])

    def words(self, key: str) -> list[str]:
        """What follows the number."""
        return self.said[key].split()[1:]

    def shared_namespaces(self) -> list[str]:
        """The kinds of namespaces that are the host's: numbers mean nothing in another kernel."""
        if not self.shares_kernel:
            return []
        return [ns.split(":")[0] for ns in self.words("namespaces") if ns in self.host.namespaces]

    def shares(self, kind: str) -> bool:
        return kind in self.shared_namespaces()

    def allowed(self, key: str, *refusals: int) -> bool:
        """True if an attempt wasn't refused: it failed later, for what was wrong with it."""
        return self.number(key) not in (refusals or (errno.EPERM, errno.ENOSYS, errno.EACCES))


@dataclass(frozen=True)
class Answer:
    """Attributes:
    reached: how much of the host; 0 or 1 where the question is a yes or no.
    inside: how much of its kind there is inside, the instance's own included.
    text: what it is, in words.
    """

    reached: float
    inside: float
    text: str = ""


@dataclass(frozen=True)
class Question:
    """Attributes:
    name: the rows' phase.
    metric: "yes" or "count".
    group: where it stands in the scorecard.
    text: the question.
    """

    name: str
    metric: str
    group: str
    text: str
    ask: Callable[[Answers], Answer]


def _of_kernel(key: str) -> Callable[[Answers], Answer]:
    """What counts for the host only where the kernel is the host's: a number."""

    def ask(told: Answers) -> Answer:
        inside = told.number(key)
        return Answer(inside * told.shares_kernel, inside, " ".join(told.words(key)[:12]))

    return ask


def _may(key: str) -> Callable[[Answers], Answer]:
    """An attempt that concerns the kernel as a whole."""

    def ask(told: Answers) -> Answer:
        inside = told.allowed(key)
        return Answer(inside and told.shares_kernel, inside, errno_name(told.number(key)))

    return ask


def _plain(key: str) -> Callable[[Answers], Answer]:
    """What the probe has looked for by a name that only the host or a sibling has."""
    return lambda told: Answer(told.number(key), told.number(key))


def errno_name(number: int) -> str:
    """Return "EPERM" for 1, "done" for 0."""
    return errno.errorcode.get(number, str(number)) if number else "done"


def _kernel(told: Answers) -> Answer:
    same = "the host's boot id" if told.shares_kernel else "a boot id of its own"
    return Answer(told.shares_kernel, 1, f"Linux {told.said['release']}, {same}")


def _hypervisor(told: Answers) -> Answer:
    bit = told.number("hypervisor")
    return Answer(bit, bit, " ".join(told.words("hypervisor")))


def _processes(told: Answers) -> Answer:
    inside = told.number("processes")
    return Answer(inside * told.number("sentinel"), inside)


def _namespaces(told: Answers) -> Answer:
    shared = told.shared_namespaces()
    return Answer(len(shared), told.number("namespaces"), " ".join(shared))


def _interfaces(told: Answers) -> Answer:
    inside = told.number("interfaces")
    return Answer(inside * told.shares("net"), inside, " ".join(told.words("interfaces")[:12]))


def _host_name(told: Answers) -> Answer:
    same = told.said["host_name"] == told.host.name
    return Answer(same, same)  # the name itself is nobody's business


def _file_systems(told: Answers) -> Answer:
    found = dict(word.split("=", 1) for word in told.words("mounts"))
    shared = [kind for device, kind in found.items() if device in told.host.mounts]
    shared = shared if told.shares_kernel else []
    return Answer(len(shared), len(found), " ".join(dict.fromkeys(shared)))


def _mount(told: Answers) -> Answer:
    inside = told.allowed("mount")
    return Answer(inside and told.shares("mnt"), inside, errno_name(told.number("mount")))


def _capabilities(told: Answers) -> Answer:
    """A capability counts in the user namespace that it is had in (capabilities(7))."""
    inside = int(told.said["CapEff"], 16).bit_count()
    bound = int(told.said["CapBnd"], 16).bit_count()
    return Answer(inside * told.shares("user"), inside, f"at most {bound}")


def _root(told: Answers) -> Answer:
    uids = ", ".join(map(str, sorted(told.uids)))
    return Answer(
        0 in told.uids,
        told.said["uid"] == "0",
        f"uid {told.said['uid']} inside, {uids} on the host",
    )


def _calls(told: Answers) -> Answer:
    inside = told.number("calls_answered")
    refused = [call_name(word) for word in told.words("calls_refused")]
    return Answer(inside * told.shares_kernel, inside, f"refused: {' '.join(refused)}")


def _privileges(told: Answers) -> Answer:
    held = told.number("NoNewPrivs")
    return Answer(held, held)


def _seccomp(told: Answers) -> Answer:
    filtered = told.number("Seccomp") == 2
    return Answer(filtered, filtered)


def call_name(word: str) -> str:
    """Name a system call that the probe told by its number (and a letter: how it was refused)."""
    import pyseccomp

    number = int(word.rstrip("nk"))
    try:
        name: str | bytes = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, number)
    except (ValueError, OSError):
        return str(number)  # younger than the library
    return name.decode() if isinstance(name, bytes) else name


KERNEL, SEES, REACHES, HELD = "The kernel", "What it sees", "What it reaches", "What holds it back"

QUESTIONS = (
    Question("kernel", "yes", KERNEL, "Is its kernel the host's?", _kernel),
    Question("system calls", "count", KERNEL, "System calls that the host answers it", _calls),
    Question("kernel log", "yes", KERNEL, "May it read the host's kernel log?", _may("kernel_log")),
    Question("modules", "yes", KERNEL, "May it load modules into it?", _may("module")),
    Question("clock", "yes", KERNEL, "May it set the host's clock?", _may("clock")),
    Question("user namespaces", "yes", KERNEL, "May it make user namespaces?", _may("user_ns")),
    Question("processes", "count", SEES, "Processes of the host that it sees", _processes),
    Question("sibling", "yes", SEES, "Does it see another's processes?", _plain("sibling")),
    Question("namespaces", "count", SEES, "Namespaces that are the host's", _namespaces),
    Question("interfaces", "count", SEES, "Network interfaces of the host", _interfaces),
    Question("host name", "yes", SEES, "Is its host name the host's?", _host_name),
    Question("file systems", "count", SEES, "File systems that the host has, too", _file_systems),
    Question("file", "yes", REACHES, "Can it read the host's files?", _plain("host_file")),
    Question(
        "signal", "yes", REACHES, "May it end a process of the host?", _plain("sentinel_signal")
    ),
    Question("socket", "yes", REACHES, "Can it reach another's socket?", _plain("sibling_socket")),
    Question(
        "devices", "count", REACHES, "Devices of the host that it may open", _of_kernel("devices")
    ),
    Question("disks", "count", REACHES, "Disks of the host that it may open", _of_kernel("disks")),
    Question(
        "proc settings",
        "count",
        REACHES,
        "Settings in /proc/sys that it may write",
        _of_kernel("proc_settings"),
    ),
    Question(
        "sys settings",
        "count",
        REACHES,
        "Settings in /sys that it may write",
        _of_kernel("sys_settings"),
    ),
    Question("mount", "yes", REACHES, "May it change the host's mounts?", _mount),
    Question("root", "yes", HELD, "Is it root on the host?", _root),
    Question("capabilities", "count", HELD, "Capabilities that count on the host", _capabilities),
    Question("seccomp", "held", HELD, "Does a seccomp filter hold it?", _seccomp),
    Question("no new privileges", "held", HELD, "Is it kept from more privileges?", _privileges),
    Question("hypervisor", "fact", HELD, "Does its processor name a hypervisor?", _hypervisor),
    Question(
        "visible",
        "fact",
        HELD,
        "Does the host see its processes?",
        lambda told: Answer(told.visible, told.visible),
    ),
)
