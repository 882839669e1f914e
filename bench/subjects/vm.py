"""A virtual machine started through libvirt: the image with a kernel of its own.

Host side. T0 is the call of virDomainCreateXML, T1 libvirt's event that the virtual CPU runs, T2
and T3 the marks that arrive over the guest's second serial port.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bench import (
    accelerator,
    boot_disk,
    bridge_port,
    guest,
    guest_kernel,
    guest_memory,
    guest_package,
    hypervisor,
    leftover_vms,
    qemu,
    scratch,
    tap,
    vm_setup,
)
from bench.accelerator import Verdict
from bench.born_in import born_in
from bench.bridge_port import Port
from bench.guest import Guest
from bench.hypervisor import Domain, Hypervisor
from bench.marks import INIT, READY, MarkReader
from bench.qemu import Machine
from bench.serial_ports import SerialPorts
from bench.subjects.base import Instance, InstanceFailed, Reach, Stamps, Subject, Workload
from bench.vm_setup import Setup
from labrt import cgroups
from labrt.cgroups import Cgroup, top
from labrt.errors import LabError
from labrt.images import store
from labrt.images.store import Image
from labrt.state import remove_tree

SETTLED = 60.0  # seconds after which a folder of VMs that nobody owns isn't in the making
CONNECT_TIMEOUT = 5.0  # seconds for QEMU's serial ports and libvirt's events, once it runs


class VmInstance(Instance):
    """One libvirt domain, its two serial ports, its cgroup and its folder.

    Attributes:
        xml: the domain as libvirt was given it.
        created: when libvirt had answered, CLOCK_MONOTONIC ns.
    """

    def __init__(
        self,
        name: str,
        workload: Workload,
        host: Hypervisor,
        built: Guest,
        verdict: Verdict,
        setup: Setup,
    ) -> None:
        self.name = name
        self.stamps = Stamps()
        self._host = host
        self._guest = built
        self._setup = setup
        self._memory = workload.memory
        self._domain: Domain | None = None
        self._ports: SerialPorts | None = None
        self._cgroup: Cgroup | None = None
        self._tap: Port | None = None
        self._pid = 0
        self._scratch: Path | None = None
        self._folder = host.make_folder(name)
        try:
            self._start(workload, verdict)
        except (LabError, OSError) as error:
            self.destroy()
            raise InstanceFailed(f"start the VM: {error}") from error
        except BaseException:
            self.destroy()
            raise

    def _start(self, workload: Workload, verdict: Verdict) -> None:
        self._ports = SerialPorts(self._folder, self._host.owner)
        if self._host.embedded and not cgroups.unavailable():
            self._cgroup = Cgroup.create(f"{top()}/{self.name}", _part_of_a_cpu(workload.cpus))
        elif _part_of_a_cpu(workload.cpus):
            raise InstanceFailed(
                f"no cgroup holds a VM of {self._host.uri} to {workload.cpus:g} CPU"
            )
        if workload.network:
            self._tap = tap.make(self.name)
        staged = self._host.stage(self._guest)
        if workload.scratch:
            file = self._host.scratches() / self.name
            scratch.make_disk(file, workload.scratch, self._host.owner)
            self._scratch = file
        self.xml = qemu.domain_xml(
            Machine(
                name=self.name,
                kernel=staged.kernel.path,
                initramfs=staged.initramfs,
                disk=staged.disk,
                boot_disk=staged.boot_disk,
                console=self._ports.console_path,
                stdio=self._ports.stdio_path,
                memory=workload.memory,
                vcpus=math.ceil(workload.cpus),
                accelerator=verdict.accelerator,
                command=workload.command,
                setup=self._setup,
                io=workload.io,
                tap=self._tap,
                scratch=self._scratch,
            )
        )
        with born_in(self._cgroup):
            self.stamps.t0 = time.monotonic_ns()
            self._domain = self._host.create(self.name, self.xml)
            self.created = time.monotonic_ns()
        # The guest needs far longer to its first mark than we to this line.
        self._pid = self._ports.accept(CONNECT_TIMEOUT)
        self.stamps.t1 = self._domain.wait_resumed(CONNECT_TIMEOUT)

    @property
    def marks(self) -> MarkReader:
        assert self._ports is not None, "set by the constructor"
        return self._ports.marks

    def wait_ready(self, timeout: float) -> None:
        assert self._ports is not None, "set by the constructor"
        try:
            self.stamps.t3 = self._ports.marks.wait(READY, timeout)
        except InstanceFailed as failure:
            told = f"{failure}; the guest's last words: {self._ports.evidence()}"
            self.destroy()
            raise InstanceFailed(told) from None
        finally:
            self.stamps.t2 = self._ports.marks.stamp(INIT)

    def stop(self, timeout: float) -> None:
        assert self._domain is not None, "set by the constructor"
        no_acpi = "" if self._setup.acpi else "its machine has no ACPI, so no power button"
        if reason := no_acpi or self._guest.kernel.no_power_button:
            raise InstanceFailed(f"the guest can't be asked to stop: {reason}")
        deadline = time.monotonic() + timeout
        self._domain.press_power_button()
        self._domain.wait_stopped(deadline - time.monotonic())
        self.destroy()

    def destroy(self) -> None:
        if self._domain is not None:
            self._domain.destroy()
            self._host.forget(self._domain)
        if self._ports is not None:
            self._ports.close()
        if self._tap is not None:
            bridge_port.remove(self._tap)
            self._tap = None
        if self._cgroup is not None:
            self._cgroup.kill()
            self._cgroup.remove()
        if self._scratch is not None:
            scratch.remove_disk(self._scratch)
        if self._folder.exists():
            remove_tree(self._folder)

    def pids(self) -> list[int]:
        if self._pid == 0 or self._domain is None or self._domain.stopped:
            return []
        return [self._pid]

    def cgroup(self) -> Cgroup | None:
        return self._cgroup

    def reach(self) -> Reach:
        if self._tap is None:
            return super().reach()
        way = "virtio-net, tap, bridge"
        return Reach(
            self._tap.address, self._tap.gateway, way + (", vhost-net" if self._vhost() else "")
        )

    def _vhost(self) -> bool:
        """Whether the host's kernel moves the card's packets, instead of QEMU."""
        open_files = Path(f"/proc/{self._pid}/fd").iterdir()
        return any(os.readlink(each) == "/dev/vhost-net" for each in open_files)

    def extra_memory(self) -> dict[str, int]:
        found = guest_memory.read(self._pid, self._memory)
        return {"guest_ram_bytes": found.guest_ram, "hypervisor_bytes": found.hypervisor}


def _part_of_a_cpu(cpus: float) -> dict[str, str]:
    """A whole number of CPUs is the guest's own; a part of one its cgroup must hold it to."""
    return {} if cpus.is_integer() else {"cpu.max": f"{round(cpus * 100_000)} 100000"}


class Vm(Subject):
    """VMs of one libvirt connection.

    Args:
        connection: a libvirt URI of this host; None for the driver inside this process.
    """

    name: ClassVar = "vm"
    kind: ClassVar = "vm"
    title: ClassVar = "libvirt VM"
    setup: Setup = Setup()

    def __init__(self, connection: str | None = None) -> None:
        self._uri = connection
        self._host: Hypervisor | None = None
        self._guests: dict[tuple[Any, ...], Guest] = {}

    def unavailable(self) -> str | None:
        try:
            qemu.binary()
            guest.check(self.setup.root)
            if self.setup.boot == "loader":
                boot_disk.check()
            if self.setup.firmware == "qboot":
                vm_setup.qboot()
        except LabError as error:
            return str(error)
        return hypervisor.no_libvirt()

    def no_scratch(self) -> str | None:
        if self.setup.machine == "microvm":
            return "its machine has no PCI, which the guest finds its disks by; measure vm"
        if reason := scratch.no_file_system():
            return reason
        try:
            guest.check(self.setup.root, scratch=True)
        except LabError as error:
            return str(error)
        return None

    def no_io_limit(self, scratch: bool = False) -> str | None:
        if scratch or self.setup.root == "disk":
            return None
        return "its guest has the image in RAM and no disk; vm-disk has one"

    def no_network(self) -> str | None:
        if self.setup.machine == "microvm":
            return (
                "a microvm without ACPI names its devices on the kernel's command line, which the "
                "guest's kernel doesn't read (CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES)"
            )
        if self.setup.boot == "loader":
            return "its command line, which would tell it its address, is on its disk"
        if reason := guest_kernel.find_kernel().no_network:
            return f"its guest has no driver for a network card ({reason}); run ./lab setup"
        return tap.unavailable()

    def conditions(self) -> dict[str, Any]:
        return {
            "accelerator": accelerator.verdict().accelerator,
            "connection": self._uri or hypervisor.EMBED,
            "guest_kernel": guest_kernel.find_kernel().release,
            **self.setup.conditions(),
        }

    def variants(self) -> Mapping[str, Subject]:
        return {said: self._with(setup) for said, setup in vm_setup.one_change_each(self.setup)}

    def _with(self, setup: Setup) -> Vm:
        other = copy.copy(self)  # with the same connection and the same guests
        other.setup = setup
        return other

    def prepare(self, workload: Workload) -> None:
        self.setup.applied(workload)  # or it can't be
        if workload.network:
            bridge_port.remove_leftovers()
        self._stage(workload)
        if workload.scratch:
            assert self._host is not None, "just opened"
            self._host.scratches()  # or there is no place for them

    def _stage(self, workload: Workload) -> None:
        self.open()
        assert self._host is not None, "just opened"
        self._host.stage(self._guest(workload))

    def _guest(self, workload: Workload) -> Guest:
        """Return what boots, built on first use."""
        key = self._key(workload)
        if key not in self._guests:
            built = guest.build(
                store.resolve(workload.image),
                root=self.setup.root,
                network=workload.network,
                scratch=workload.scratch is not None,
            )
            if self.setup.boot == "loader":
                words = qemu.command_line(self.setup, workload.command)
                built = replace(built, boot_disk=boot_disk.build(built, words))
            self._guests[key] = built
        return self._guests[key]

    def _key(self, workload: Workload) -> tuple[Any, ...]:
        """Return what guests differ in."""
        has = workload.network, workload.scratch is not None
        return workload.digest, workload.command, has, self.setup

    def open(self) -> None:
        """Connect to libvirt, once what killed benches have left is gone: it takes memory."""
        if self._host is None:
            leftover_vms.remove_leftover_vms(older=SETTLED)
            self._host = Hypervisor(self._uri)

    def pack(self, image: Image, name: str) -> Image:
        """A VM takes a kernel along, and its files as a whole."""
        return guest_package.pack(guest.build(image, root=self.setup.root), name)

    def unpack(self, packed: Image, workload: Workload) -> None:
        self._guests[self._key(workload)] = guest_package.unpack(packed, workload.digest)
        self._stage(workload)

    def contents(self, packed: Image) -> dict[str, int]:
        return guest_package.contents(packed)

    def start(self, workload: Workload, name: str) -> VmInstance:
        assert self._host is not None, "prepare comes first"
        workload = self.setup.applied(workload)
        return VmInstance(
            name, workload, self._host, self._guest(workload), accelerator.verdict(), self.setup
        )

    def close(self) -> None:
        if self._host is not None:
            self._host.close()
            self._host = None
        cgroups.remove_top()
