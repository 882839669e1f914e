"""What libvirt adds to a VM's start: the same guest through libvirt and as a bare QEMU process.

    python -m bench.supervisor -- python -m bench.control_plane [--n 8]

The two take turns, in one run, so a drift of the machine's speed meets both. The bare QEMU gets the
arguments that libvirt itself makes of the domain (`virsh domxml-to-native`), its sandbox and its
monitor included. What remains is the control plane: libvirt's checks, its conversation with QEMU.
"""

from __future__ import annotations

import argparse
import re
import shlex
import statistics
import sys
from collections import defaultdict
from contextlib import ExitStack
from functools import partial

from bench import accelerator, qemu
from bench.hypervisor import Hypervisor
from bench.qemu import Machine
from bench.subjects.base import InstanceFailed, Workload
from bench.subjects.vm import Vm
from labrt.errors import LabError
from labrt.images import base

DEADLINE = 60.0  # seconds for one boot


def main() -> int:
    """Measure and print; exit status 1 with one line where no VM can be started."""
    parser = argparse.ArgumentParser(prog="bench.control_plane")
    parser.add_argument("--n", type=int, default=8, metavar="N", help="boots of each")
    options = parser.parse_args()
    try:
        print_figures(measure(options.n))
    except (LabError, InstanceFailed) as error:
        print(f"control_plane: {error}", file=sys.stderr)
        return 1
    return 0


def measure(n: int) -> dict[str, list[float]]:
    """Boot `n` times each way, in turns, after one boot of each as a warm-up.

    Returns:
        Seconds: "createXML" (call to return), "libvirt" and "qemu" (T0 to T3).
    """
    image = base.ensure("busybox")
    workload = Workload(image.name, image.digest)
    chosen = accelerator.verdict().accelerator
    seconds: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        subject = stack.enter_context(Vm())
        subject.prepare(workload)
        host = stack.enter_context(Hypervisor())
        for number in range(-1, n):
            sample = {**through_libvirt(subject, workload, number)}
            sample["qemu"] = accelerator.boot(chosen, DEADLINE, partial(libvirts_command, host))
            for name, value in sample.items() if number >= 0 else ():
                seconds[name].append(value)
    return seconds


def through_libvirt(subject: Vm, workload: Workload, number: int) -> dict[str, float]:
    """Boot once through libvirt."""
    with subject.start(workload, f"lab-control-{number + 1}") as instance:
        instance.wait_ready(DEADLINE)
        stamps = instance.stamps
        assert stamps.t0 is not None and stamps.t3 is not None, "it is ready"
        return {
            "createXML": (instance.created - stamps.t0) / 1e9,
            "libvirt": (stamps.t3 - stamps.t0) / 1e9,
        }


def libvirts_command(host: Hypervisor, machine: Machine) -> list[str]:
    """Return the command by which libvirt would start a machine, made to run without libvirt.

    Left out: -S (libvirt's own "begin paused") and its key file. The monitor's socket moves.
    """
    words = shlex.split(host.native_arguments(qemu.domain_xml(machine)))
    command = words[words.index(qemu.binary()) :]
    command.remove("-S")
    secret = next(place for place, word in enumerate(command) if "masterKey0" in word)
    del command[secret - 1 : secret + 1]
    monitor = machine.stdio.with_name("monitor")
    return [re.sub("path=.*/monitor.sock", f"path={monitor}", word) for word in command]


def print_figures(seconds: dict[str, list[float]]) -> None:
    """Print medians, ranges, and the ratio of the medians."""
    titles = {
        "createXML": "createXML, call to return",
        "libvirt": "through libvirt, T0 to T3",
        "qemu": "QEMU alone, T0 to T3",
    }
    for name, title in titles.items():
        values = seconds[name]
        middle = statistics.median(values)
        span = f"{min(values):.3f} to {max(values):.3f}"
        print(f"{title:28} median {middle:6.3f} s   {span}   n {len(values)}")
    ratio = statistics.median(seconds["libvirt"]) / statistics.median(seconds["qemu"])
    print(f"libvirt takes {ratio:.2f} times as long as QEMU alone")


if __name__ == "__main__":
    raise SystemExit(main())
