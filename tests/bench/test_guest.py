"""bench/guest.py: an image becomes what a VM boots; once for each digest, whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bench import guest, guest_disk, guest_kernel
from bench.guest import Root
from labrt import paths
from labrt.errors import LabError
from labrt.images import base, making
from labrt.images.store import Image

ROOTS: tuple[Root, ...] = ("initramfs", "disk")
COMMAND = {"Cmd": ["/bin/sh"]}
ROOT = Path(__file__).parent.parent.parent

# In another process: build the guest; print the error, and what is left.
BUILD = """
import os, sys
from bench import guest
from labrt import paths
from labrt.errors import LabError
from labrt.images import store
try:
    guest.build(store.resolve("it"), root=sys.argv[1])
except LabError as error:
    print(error)
print(os.listdir(paths.home() / "guests"))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A LAB_HOME of the test's own, with the kernel that set-up has fetched."""
    kernels = paths.home() / "kernels"
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "kernels").symlink_to(kernels)
    return tmp_path / "home"


def image(config: dict[str, Any], **files: bytes) -> Image:
    """An image of these files ("_" in a name stands for "/"), which belong to 5:6."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name.replace("_", "/"))
            member.size, member.mode, member.uid, member.gid = len(data), 0o4750, 5, 6
            member.mtime = 1_600_000_000
            archive.addfile(member, io.BytesIO(data))
    return making.make("it", buffer.getvalue(), {"config": config})


def listed(initramfs: Path) -> set[str]:
    with initramfs.open("rb") as archive:
        told = subprocess.run(
            ["busybox", "cpio", "-t"], stdin=archive, capture_output=True, text=True, check=True
        )
    return set(told.stdout.split())


def described(disk: Path) -> list[str]:
    """A line for each file: kind, name, mode, owner, group."""
    told = subprocess.run(["rdsquashfs", "-d", disk], capture_output=True, text=True, check=True)
    return told.stdout.splitlines()


def left(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "guests").glob("*"))


def test_the_initramfs_form_holds_the_images_files_and_an_init() -> None:
    built = guest.build(base.ensure("busybox"))
    assert built.disk is None
    assert {".guest/init", ".guest/entrypoint", "lab/ready", "bin/sh"} <= listed(built.initramfs)


def test_the_disk_form_holds_them_on_a_disk_and_in_the_initramfs_none() -> None:
    built = guest.build(base.ensure("busybox"), root="disk")
    assert built.disk is not None
    names = {line.split()[1] for line in described(built.disk)}
    assert {"lab/ready", "bin/sh"} <= names
    names = listed(built.initramfs)
    assert {".guest/init", ".guest/entrypoint", ".guest/disk-root"} <= names
    assert "lab/ready" not in names


def test_only_a_guest_with_a_network_card_has_its_driver() -> None:
    made = base.ensure("busybox")
    for root in ROOTS:
        bare, joined = (guest.build(made, root=root, network=asked) for asked in (False, True))
        more = listed(joined.initramfs) - listed(bare.initramfs)
        assert any(name.endswith("-virtio_net.ko") for name in more), root
        assert all(name.startswith(".guest/network-modules") for name in more), root


def test_on_the_disk_files_have_their_owners_modes_and_times_whoever_builds_it() -> None:
    built = guest.build(image(COMMAND, bin_sh=b"program"), root="disk")
    assert built.disk is not None
    assert "file bin/sh 04750 5 6" in described(built.disk)
    told = subprocess.run(
        ["rdsquashfs", "--stat", "bin/sh", built.disk], capture_output=True, text=True, check=True
    )
    assert "(1600000000)" in told.stdout


def test_extended_attributes_are_on_the_disk() -> None:
    member = tarfile.TarInfo("ping")
    member.pax_headers = {"SCHILY.xattr.security.capability": "\1\0\0\2\udcff\0"}
    data = member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + bytes(1024)
    disk = guest.build(making.make("it", data, {"config": COMMAND}), root="disk").disk
    told = subprocess.run(
        ["rdsquashfs", "--xattr", "ping", str(disk)], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "security.capability=0x01000002FF00"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_normal_user_builds_the_same_disk() -> None:
    made = image(COMMAND, bin_sh=b"program", etc_passwd=b"root")
    disk = guest.build(made, root="disk").disk
    assert disk is not None
    with tempfile.TemporaryDirectory() as folder:  # not pytest's, which is closed to others
        os.chmod(folder, 0o755)
        place = Path(folder) / "home"
        shutil.copytree(paths.home() / "images", place / "images")
        os.chown(place, 65534, 65534)
        code = (
            "import pathlib, bench.guest_disk\n"
            "from labrt.images import flattening, store\n"
            "found = flattening.members(store.resolve('it'))\n"
            f"bench.guest_disk.write(found, pathlib.Path({str(place / 'disk')!r}))"
        )
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT), "LAB_HOME": str(place)},
            user=65534,
            group=65534,
            extra_groups=[],
            check=True,
        )
        assert (place / "disk").stat().st_uid == 65534
        assert (place / "disk").read_bytes() == disk.read_bytes()


@pytest.mark.parametrize("root", ROOTS)
def test_one_digest_is_built_once_and_always_the_same(root: Root, home: Path) -> None:
    made = image(COMMAND, bin_sh=b"program" * 1000, etc_passwd=b"a:x:7:7::/:\n")
    first = guest.build(made, root=root)
    time.sleep(1.1)  # file systems note seconds
    files = [file for file in (first.initramfs, first.disk) if file]
    before = [(file.stat().st_mtime_ns, file.read_bytes()) for file in files]
    again = guest.build(made, root=root)
    assert again == first
    assert [(file.stat().st_mtime_ns, file.read_bytes()) for file in files] == before
    for file in files:
        file.unlink()
    guest.build(made, root=root)
    assert [file.read_bytes() for file in files] == [data for _, data in before]
    assert len(left(home)) == len(files)


def test_another_image_another_form_and_another_kernel_are_other_guests() -> None:
    kernel = guest_kernel.find_kernel()
    other = guest_kernel.Kernel(kernel.path, "6.99", kernel.power_button, "", kernel.disk)
    one, two = image(COMMAND, bin_sh=b"one"), image(COMMAND, bin_sh=b"two")
    built = [
        guest.build(one),
        guest.build(one, root="disk"),
        guest.build(two),
        guest.build(one, other),
    ]
    assert len({each.initramfs for each in built}) == 4


def test_two_may_build_the_same_guest_at_once(home: Path) -> None:
    made = image(COMMAND, bin_sh=os.urandom(5_000_000))
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda _: guest.build(made, root="disk"), range(4)))
    assert len(set(map(str, built))) == 1
    assert len(left(home)) == 2


def test_source_date_epoch_of_whoever_builds_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = image(COMMAND, bin_sh=b"program")
    disk = guest.build(made, root="disk").disk
    assert disk is not None
    before = disk.read_bytes()
    for file in disk.parent.iterdir():
        file.unlink()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    guest.build(made, root="disk")
    assert disk.read_bytes() == before


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize(
    ("config", "answer"),
    [
        ({}, "no Entrypoint and no Cmd.*Remedy"),
        ({**COMMAND, "User": "nobody-here"}, "user 'nobody-here'.*Remedy"),
        ({**COMMAND, "User": "0:nobodies"}, "group 'nobodies'.*Remedy"),
    ],
)
def test_an_image_that_cannot_be_a_guest_is_refused_and_leaves_nothing(
    config: dict[str, Any], answer: str, root: Root, home: Path
) -> None:
    with pytest.raises(LabError, match=answer):
        guest.build(image(config, bin_sh=b""), root=root)
    assert left(home) == []


def test_without_the_tool_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_disk, "TOOL", "tar2sqfs-nowhere")
    with pytest.raises(LabError, match="squashfs-tools-ng"):
        guest.build(image(COMMAND, bin_sh=b""), root="disk")


def test_a_kernel_without_the_drivers_of_disks_is_refused() -> None:
    kernel = guest_kernel.Kernel(Path("vmlinuz"), "6.1", no_disk="no module overlay in /x")
    with pytest.raises(LabError, match=r"no module overlay.*Remedy"):
        guest.build(image(COMMAND, bin_sh=b""), kernel, root="disk")


@pytest.mark.parametrize("root", ROOTS)
def test_a_guest_that_writes_to_a_disk_is_another_one_with_its_drivers_each_once(
    root: Root,
) -> None:
    made = image(COMMAND, bin_sh=b"program")
    plain, writing = (guest.build(made, root=root, scratch=each) for each in (False, True))
    assert plain.initramfs != writing.initramfs
    assert ".guest/scratch" not in listed(plain.initramfs)
    names = listed(writing.initramfs)
    assert ".guest/scratch" in names
    modules = [name.rpartition("-")[2] for name in names if name.endswith(".ko")]
    assert "virtio_blk.ko" in modules
    assert len(modules) == len(set(modules))


def test_a_kernel_that_cannot_write_to_a_disk_is_refused() -> None:
    kernel = guest_kernel.Kernel(Path("vmlinuz"), "6.1", no_scratch="no module ext4 in /x")
    with pytest.raises(LabError, match=r"no module ext4.*Remedy"):
        guest.build(image(COMMAND, bin_sh=b""), kernel, scratch=True)


def test_a_damaged_layer_leaves_nothing(home: Path) -> None:
    made = image(COMMAND, bin_sh=os.urandom(1_000_000))
    blob = paths.home() / "images" / "blobs" / "sha256" / made.layers[0].digest[7:]
    blob.write_bytes(blob.read_bytes()[:500_000])
    with pytest.raises(LabError, match="damaged"):
        guest.build(made, root="disk")
    assert left(home) == []


@pytest.mark.parametrize("root", ROOTS)
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(root: Root, home: Path) -> None:
    """A small file system in a mount namespace stands for the disk."""
    image(COMMAND, bin_sh=os.urandom(3_000_000))
    (home / "guests").mkdir()
    mount = f"mount -t tmpfs -o size=2m tmpfs {home}/guests && exec {sys.executable} -c '{BUILD}'"
    said = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"{mount} {root}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    told, files = said.stdout.splitlines()
    assert "no room is left" in told or "ENOSPC" in told
    assert "Remedy: free some room" in told
    assert files == "[]"
