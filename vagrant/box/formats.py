"""One disk in the forms that libvirt, VirtualBox and QEMU take it. Host side.

A Vagrant box is a tar archive (https://developer.hashicorp.com/vagrant/docs/boxes/format); it isn't
compressed once more, because the disk in it is.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from labrt.errors import LabError

PROJECT = Path(__file__).parent.parent.parent
OVF = Path(__file__).with_name("box.ovf")
GIB = 1 << 30

# A box's own Vagrantfile; everything that matters is in the project's.
VAGRANTFILE = "Vagrant.configure('2') { |config| config.ssh.shell = 'bash' }\n"


def qemu(disk: Path, size: int, out: Path) -> Path:
    """Write lab.qcow2, compressed with zstd: QEMU 5.1 and later read it, and faster than zlib."""
    made = out / "lab.qcow2"
    if not made.exists():
        _convert(disk, made, "qcow2", "-c", "-o", "compression_type=zstd")
    return made


def libvirt(disk: Path, size: int, out: Path) -> Path:
    """Write lab-libvirt.box, for vagrant-libvirt."""
    facts = {"provider": "libvirt", "format": "qcow2", "virtual_size": size // GIB}
    made = out / "lab-libvirt.box"
    _box(made, facts, {"box.img": qemu(disk, size, out)})
    return made


def virtualbox(disk: Path, size: int, out: Path) -> Path:
    """Write lab-virtualbox.box: a machine in OVF and its disk as a compressed VMDK."""
    made, vmdk = out / "lab-virtualbox.box", out / "box.vmdk"
    try:
        _convert(disk, vmdk, "vmdk", "-o", "subformat=streamOptimized,adapter_type=lsilogic")
        description = OVF.read_text().format(capacity=size, compressed=vmdk.stat().st_size)
        files: dict[str, str | Path] = {"box.ovf": description, "box.vmdk": vmdk}
        _box(made, {"provider": "virtualbox"}, files)
    finally:
        vmdk.unlink(missing_ok=True)
    return made


FORMATS: dict[str, Callable[[Path, int, Path], Path]] = {
    "libvirt": libvirt,
    "virtualbox": virtualbox,
    "qemu": qemu,
}


def _convert(disk: Path, made: Path, form: str, *options: str) -> None:
    command = ["qemu-img", "convert", "-f", "raw", "-m", "4", "-W", "-O", form, *options]
    if form == "vmdk":
        command.remove("-W")  # a stream is written in its order
    done = subprocess.run([*command, disk, made], capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"write {made.name}", done.stderr.strip().splitlines()[-1])


def _box(
    made: Path, facts: dict[str, object], files: dict[str, str | Path] | dict[str, Path]
) -> None:
    with tarfile.open(made, "x", format=tarfile.GNU_FORMAT) as archive:
        texts = {"metadata.json": json.dumps(facts) + "\n", "Vagrantfile": VAGRANTFILE}
        for name, content in {**texts, **files}.items():
            if isinstance(content, Path):
                archive.add(content, name, filter=_nobody_s)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content.encode())
                member.mode = 0o644
                archive.addfile(member, io.BytesIO(content.encode()))


def _nobody_s(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the builder's name and id."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
