"""What libvirt adds: QEMU alone gets libvirt's own arguments."""

from __future__ import annotations

from functools import partial

from bench import accelerator, control_plane
from bench.hypervisor import Hypervisor


def test_a_guest_boots_by_libvirts_own_command_without_libvirt() -> None:
    with Hypervisor() as host:
        command = partial(control_plane.libvirts_command, host)
        assert accelerator.boot(accelerator.verdict().accelerator, 60.0, command) > 0
