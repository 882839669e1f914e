"""bench/guest.py: the image's own files, a kernel, and a small init; made once for each digest."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from bench import guest
from labrt.errors import LabError
from labrt.images import base


def layer(*members: tuple[str, bytes]) -> tarfile.TarFile:
    """A layer with these names; type "0" is a file, "5" a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            archive.addfile(member)
    buffer.seek(0)
    return tarfile.open(fileobj=buffer)


FILE, FOLDER = tarfile.REGTYPE, tarfile.DIRTYPE


def test_the_initramfs_holds_the_images_files_and_an_init() -> None:
    built = guest.build(base.ensure("busybox"))
    with built.initramfs.open("rb") as archive:
        listed = subprocess.run(
            ["busybox", "cpio", "-t"], stdin=archive, capture_output=True, text=True, check=True
        )
    names = set(listed.stdout.split())
    assert {".guest/init", "lab/ready", "bin/busybox", "bin/sh"} <= names


def test_one_digest_is_built_once() -> None:
    image = base.ensure("busybox")
    first = guest.build(image)
    made = first.initramfs.stat().st_mtime_ns
    again = guest.build(image)
    assert again == first
    assert again.initramfs.stat().st_mtime_ns == made
    assert again.digest == image.digest


def test_a_later_layer_replaces_and_whiteouts_remove() -> None:
    lower = layer(("etc", FOLDER), ("etc/kept", FILE), ("etc/gone", FILE), ("old", FOLDER))
    upper = layer(("etc/.wh.gone", FILE), ("old/.wh..wh..opq", FILE), ("old/new", FILE))
    names = {name.removeprefix("./") for name in guest.flatten([lower, upper])}
    assert {"etc", "etc/kept", "old", "old/new"} <= names
    assert "etc/gone" not in names


def test_a_path_out_of_the_image_is_refused() -> None:
    with pytest.raises(LabError):
        guest.flatten([layer(("../outside", FILE))])


def test_a_kernel_that_is_none_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vmlinuz").write_bytes(b"not a kernel" * 100)
    monkeypatch.setenv("LAB_KERNEL", str(tmp_path / "vmlinuz"))
    with pytest.raises(LabError, match=r"not a bzImage.*LAB_KERNEL"):
        guest.find_kernel()


def test_a_kernel_that_is_not_there_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KERNEL", str(tmp_path / "nosuch"))
    with pytest.raises(LabError, match="ENOENT"):
        guest.find_kernel()
