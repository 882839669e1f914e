"""vagrant/box/formats.py: one disk as libvirt's box, VirtualBox's box, and QEMU's qcow2."""

from __future__ import annotations

import json
import subprocess
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from vagrant.box import formats

SIZE = 2 << 30
CONTENT = b"the lab machine" * 1000


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A disk of 2 GiB with something on it."""
    file = tmp_path / "lab.raw"
    with file.open("wb") as stream:
        stream.truncate(SIZE)
        stream.seek(1 << 20)
        stream.write(CONTENT)
    return file


def info(file: Path) -> dict[str, object]:
    told = subprocess.run(
        ["qemu-img", "info", "--output=json", file], capture_output=True, text=True, check=True
    )
    answer: dict[str, object] = json.loads(told.stdout)
    return answer


def same(file: Path, raw: Path) -> bool:
    return subprocess.run(["qemu-img", "compare", "-q", file, raw]).returncode == 0


def unpacked(box: Path, to: Path) -> dict[str, Path]:
    with tarfile.open(box) as archive:
        owners = {(member.uid, member.uname) for member in archive}
        assert owners == {(0, "")}, "nobody's who built it"
    to.mkdir()
    subprocess.run(["tar", "-C", to, "-xf", box], check=True)
    return {file.name: file for file in to.iterdir()}


def test_qemu_s_is_a_compressed_qcow2(raw: Path, tmp_path: Path) -> None:
    made = formats.qemu(raw, SIZE, tmp_path)
    assert info(made)["format"] == "qcow2"
    assert made.stat().st_size < 1 << 20
    assert same(made, raw)


def test_libvirt_s_box_says_what_is_in_it(raw: Path, tmp_path: Path) -> None:
    files = unpacked(formats.libvirt(raw, SIZE, tmp_path), tmp_path / "box")
    assert set(files) == {"metadata.json", "Vagrantfile", "box.img"}
    facts = json.loads(files["metadata.json"].read_text())
    assert facts == {"provider": "libvirt", "format": "qcow2", "virtual_size": 2}
    assert same(files["box.img"], raw)


def test_virtualbox_s_box_describes_a_sata_disk_and_a_card_it_has_a_driver_for(
    raw: Path, tmp_path: Path
) -> None:
    files = unpacked(formats.virtualbox(raw, SIZE, tmp_path), tmp_path / "box")
    assert set(files) == {"metadata.json", "Vagrantfile", "box.ovf", "box.vmdk"}
    assert json.loads(files["metadata.json"].read_text()) == {"provider": "virtualbox"}
    assert same(files["box.vmdk"], raw)
    ovf = ET.fromstring(files["box.ovf"].read_text())
    texts = {element.text for element in ovf.iter()}
    assert {"AHCI", "E1000"} <= texts
    values = {value for element in ovf.iter() for value in element.attrib.values()}
    assert {str(SIZE), str(files["box.vmdk"].stat().st_size)} <= values
    assert not list(tmp_path.glob("*.vmdk")), "the step on the way is gone"
