"""Lesson "vm": a virtual machine, seen from the host (notebook 19)."""

from __future__ import annotations

from labrt.lessons import drawn, needs
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict
from labrt.lessons.machines import Machine, machines
from labrt.lessons.needs import Need

CALLS = ("aspen", "birch", "cedar", "elder", "hazel", "larch", "maple", "rowan", "willow", "yew")
LEAST, MOST = 150, 400  # MiB


def _processes(host: int, inside: int) -> str:
    """Judge vm-p1. How many processes the host has for the guest, and the guest by its own ps."""
    if host == 0:
        return "c"
    return "b" if host == 1 else "a"


def _memory(touched: float, given: float) -> str:
    """Judge vm-p2. Guest RAM that the host has given, and that the guest was promised, any unit."""
    if touched < given / 100:
        return "c"
    return "b" if touched < given * 0.95 else "a"


def _panic(said: str, same_boot: bool) -> str:
    """Judge vm-p3. What the guest's program wrote; whether the host's kernel is still the same."""
    if not same_boot:
        return "a"
    return "c" if "still here" in said else "b"


def _sized(wanted: str) -> Verdict:
    """vm-01: a machine of libvirt's with the drawn memory and two CPUs."""
    found = machines()
    return Verdict(
        passed=any(
            (each.memory, each.cpus, each.by_libvirt) == (int(wanted), 2, True) for each in found
        ),
        expected=f"a virtual machine of libvirt's with {wanted} MiB of RAM and 2 CPUs",
        saw=_told(found),
    )


def _named(wanted: str) -> Verdict:
    """vm-02: a machine that libvirt doesn't know, with the drawn name."""
    found = machines()
    return Verdict(
        passed=any(each.name == wanted and not each.by_libvirt for each in found),
        expected=f"a virtual machine called {wanted}, started without libvirt",
        saw=_told(found),
    )


def _told(found: list[Machine]) -> str:
    return "; ".join(map(str, found)) or "no QEMU process"


LESSON = Lesson(
    key="vm",
    number=19,
    title="a virtual machine",
    claims=("C06", "C27"),
    needs=(
        Need("boot a virtual machine", "the whole lesson", needs.vm),
        Need("use libvirt", "all but sections 9 and 10", needs.libvirt),
        needs.CONTAINER,
    ),
    predictions=(
        Prediction(
            id="vm-p1",
            choices={
                "a": "as many as the guest has, under other numbers, as with a container",
                "b": "one: the hypervisor",
                "c": "none: a virtual machine is beside the host, not on it",
            },
            judge=_processes,
        ),
        Prediction(
            id="vm-p2",
            choices={
                "a": "all of it",
                "b": "the part that the guest has touched so far",
                "c": "nothing: the guest does nothing yet",
            },
            judge=_memory,
        ),
        Prediction(
            id="vm-p3",
            choices={
                "a": "the host's kernel stops, too",
                "b": "the virtual machine ends, and the host goes on",
                "c": "the guest's kernel refuses, as in a container",
            },
            judge=_panic,
        ),
    ),
    checks=(
        Check(
            id="vm-01",
            observe=_sized,
            hints=(
                "How much memory and how many CPUs had the machine of section 6, and which words "
                "said so?",
                "The check looks at what QEMU was given: the row of machines it saw is above.",
                "The machine must still run while the check looks: keep it in a variable.",
            ),
            draw=drawn.number(LEAST, MOST - LEAST),
        ),
        Check(
            id="vm-02",
            observe=_named,
            hints=(
                "The command above ends when its guest does. What could a machine do that goes on?",
                "A machine needs no disk and no kernel to be one: its firmware runs. Look for the "
                "option that names it in man qemu-system-x86_64.",
                "Don't wait for it: subprocess.Popen starts it and returns at once.",
            ),
            draw=drawn.name(CALLS),
        ),
    ),
)
