"""The boxes that `./lab box` has built: whole, small enough to hand round, bootable alone."""

from __future__ import annotations

import json
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from vagrant.box import inputs

LARGEST = 700e6  # bytes
BOOT_SECONDS = 300.0  # to the login prompt, emulated, on a busy host
LOGIN = b"lab login:"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def test_every_file_is_there_with_its_checksum_and_within_its_size(built: Path) -> None:
    boxes = built / "boxes"
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=boxes, check=True)
    facts = json.loads((boxes / inputs.FACTS).read_text())
    assert set(facts["files"]) == {"lab-libvirt.box", "lab-virtualbox.box", "lab.qcow2"}
    sizes = {name: each["bytes"] for name, each in facts["files"].items()}
    print(sizes)
    assert max(sizes.values()) <= LARGEST, sizes
    assert inputs.outdated(boxes) == []


def test_the_versions_in_it_are_listed(built: Path) -> None:
    listed = (built / "boxes" / "debian.packages").read_text()
    assert re.search(r"^linux-image-amd64=6\.1\.", listed, re.MULTILINE)


def boots(*disk: str) -> bool:
    """Whether firmware and boot loader alone bring a machine to its login prompt, without a network
    that leads anywhere."""
    command = ["qemu-system-x86_64", "-name", "lab-box", "-accel", "tcg", "-cpu", "Nehalem"]
    command += ["-m", "1024", "-smp", "2", "-display", "none", "-serial", "stdio", "-snapshot"]
    with subprocess.Popen(
        [*command, *disk], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd="/var/tmp"
    ) as machine:
        assert machine.stdout is not None
        told, deadline = b"", time.monotonic() + BOOT_SECONDS
        try:
            while LOGIN not in told and time.monotonic() < deadline:
                ready, _, _ = select.select([machine.stdout], [], [], 1.0)
                if ready and not (told := told + machine.stdout.read1()):
                    break
        finally:
            machine.kill()
    return LOGIN in told


def test_virtualbox_s_disk_boots_on_the_hardware_that_its_description_names(
    built: Path, tmp_path: Path
) -> None:
    """VirtualBox can't run everywhere; QEMU has the same: a BIOS, SATA (AHCI), an Intel card."""
    box = built / "boxes" / "lab-virtualbox.box"
    subprocess.run(["tar", "-C", tmp_path, "-xf", box, "box.vmdk"], check=True)
    disk = f"file={tmp_path}/box.vmdk,format=vmdk,if=none,id=disk"
    hardware = ("-machine", "pc", "-device", "ahci,id=sata", "-nic", "user,model=e1000,restrict=on")
    assert boots(*hardware, "-drive", disk, "-device", "ide-hd,drive=disk,bus=sata.0")


def test_qemu_s_disk_boots_with_nothing_but_the_disk(built: Path) -> None:
    assert boots("-drive", f"file={built}/boxes/lab.qcow2,if=virtio", "-nic", "none")
