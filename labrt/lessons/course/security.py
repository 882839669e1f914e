"""Lesson "security": capabilities and seccomp (notebook 16, capabilities(7), seccomp(2))."""

from __future__ import annotations

from labrt.capabilities import NAMES
from labrt.lessons import drawn, needs, observe, rights
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

# Drawn ones: of all kernels that run containers, and with a meaning that the manual explains well.
PIECES = (
    "CAP_CHOWN",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_SYS_NICE",
    "CAP_MKNOD",
)
SIGSYS = 128 + 31  # what a shell makes of a program that signal 31 has ended (signal(7))


def _read(said: str) -> str:
    """Judge security-p1. What came of reading a file of mode 000 without CAP_DAC_OVERRIDE."""
    return "b" if "ermission denied" in said else "a"


def _unshare(said: str) -> str:
    """Judge security-p2. What came of making a user namespace in the container."""
    if "not permitted" in said:
        return "b"
    return "c" if "Bad system call" in said else "a"


def _killed(said: str) -> str:
    """Judge security-p3. What the shell tells of mkdir under a filter that kills: "status N"."""
    status = int(said.rpartition("status ")[2])
    if status == SIGSYS:
        return "c"
    return "b" if status else "a"


def _only(wanted: str) -> Verdict:
    """security-01: a container whose root has the drawn capabilities and no other."""
    found = {pid: set(rights.capabilities(pid)) for pid in observe.containers()}
    told = "; ".join(f"pid {pid}: {_few(held)}" for pid, held in found.items())
    return Verdict(
        passed=set(wanted.split()) in found.values(),
        expected=f"a running container with the capabilities {wanted} and no other",
        saw=told or "no running container",
    )


def _few(names: set[str]) -> str:
    return ", ".join(sorted(names)) if 0 < len(names) <= 3 else f"{len(names)} capabilities"


def _by_hand(wanted: str) -> Verdict:
    """security-02: a process that can never win the drawn ones, nor any by a setuid program."""
    found = {}
    for pid in observe.strangers("user"):
        if bound := set(rights.capabilities(pid, "CapBnd")):
            found[pid] = (_known() - bound, rights.no_new_privileges(pid))
    told = "; ".join(
        f"pid {pid}: {_few(missing)} missing, no_new_privs {'set' if kept else 'not set'}"
        for pid, (missing, kept) in found.items()
        if missing or kept
    )
    return Verdict(
        passed=(set(wanted.split()), True) in found.values(),
        expected=f"a process that labrt didn't start, with no_new_privs, {wanted} and no others "
        "missing from its bounding set",
        saw=told or "in other user namespaces nobody lacks one, nor has no_new_privs",
    )


def _known() -> set[str]:
    """Return all capabilities that this kernel has: a new user namespace's first process has them
    in its bounding set (user_namespaces(7))."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return set(NAMES[: int(file.read()) + 1])


LESSON = Lesson(
    key="security",
    number=16,
    title="capabilities and seccomp",
    claims=("C04",),
    needs=(
        needs.CONTAINER,
        needs.programs("by hand; exercise security-02", "util-linux", "unshare", "setpriv"),
        needs.VM,
    ),
    predictions=(
        Prediction(
            id="security-p1",
            choices={
                "a": "it reads the file: root reads everything",
                "b": "it doesn't: permission denied",
            },
            judge=_read,
        ),
        Prediction(
            id="security-p2",
            choices={
                "a": "that works, as on the host",
                "b": "the kernel refuses: operation not permitted",
                "c": "the program is killed",
            },
            judge=_unshare,
        ),
        Prediction(
            id="security-p3",
            choices={
                "a": "makes the folder: it is root and has every capability",
                "b": "reports an error and ends",
                "c": "is killed before it can report anything",
            },
            judge=_killed,
        ),
    ),
    checks=(
        Check(
            id="security-01",
            observe=_only,
            hints=(
                "Section 3 takes one capability away. What takes all of them? (man 7 "
                "capabilities has the names; how to list labrt's words is in lesson 00, section 7)",
                "What is added counts after what is dropped, in whatever order you write it.",
                "Both options take a tuple of names; what was drawn is one string: split it.",
            ),
            draw=drawn.some(PIECES, 2),
        ),
        Check(
            id="security-02",
            observe=_by_hand,
            hints=(
                "setpriv of the cell above has an option for the bounding set. A minus sign "
                "before a name takes it away; the name has no CAP_ and is in small letters; "
                "commas part the names.",
                "The other thing is an option without a value.",
                "Don't wait for the program: subprocess.Popen starts it and returns at once.",
            ),
            draw=drawn.some(PIECES, 2),
        ),
    ),
)
