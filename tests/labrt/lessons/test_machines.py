"""labrt/lessons/machines.py: QEMU processes, read in /proc."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import labrt
from labrt.lessons import machines, observe
from labrt.lessons.machines import Machine

PLAIN = ("-accel", "tcg", "-nodefaults", "-display", "none")


@contextmanager
def qemu(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = ["qemu-system-x86_64", *PLAIN, *words]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def found(pid: int) -> Machine:
    """What is told of the process once it has become QEMU."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for machine in machines.machines():
            if machine.pid == pid:
                return machine
        time.sleep(0.01)
    raise AssertionError("not found")


def test_a_machine_is_known_by_what_qemu_was_given() -> None:
    words = ("-name", "guest=one,debug-threads=on", "-m", "size=307200k", "-smp", "2,sockets=2")
    with qemu(*words) as process:
        told = found(process.pid)
    assert told == Machine(process.pid, "one", 300, 2, by_libvirt=True)
    assert str(told) == f"one (pid {process.pid}): 300 MiB, 2 CPUs, libvirt's"


def test_without_a_word_it_is_what_qemu_takes_then() -> None:
    with qemu() as process:
        assert found(process.pid) == Machine(process.pid, "", 128, 1, by_libvirt=False)


def test_a_machine_that_a_notebook_has_started_ends_with_it() -> None:
    with qemu("-name", "left") as process:
        found(process.pid)
        told = labrt.clean_up().text
        assert "other processes ended: 1" in told
        assert observe.name(process.pid) == ""


def test_its_threads_are_drawn_and_its_processors_named() -> None:
    with qemu("-name", "drawn,debug-threads=on", "-smp", "2", "-m", "64") as process:
        found(process.pid)
        deadline = time.monotonic() + 60
        while "CPU 1/TCG" not in machines.threads(process).values():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        shown = machines.machine_picture(process, "6.1", 50)
        assert shown.text.count("a CPU of the guest") == 2
        assert "the guest's kernel: Linux 6.1" in shown.markdown
        assert machines.ram(process, 64).startswith("Size:")
        assert machines.ram(process, 65) == ""
    assert machines.threads(process) == {}
