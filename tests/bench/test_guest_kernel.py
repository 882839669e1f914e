"""bench/guest_kernel.py: which kernel guests boot, and which of its modules they need."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zstandard

from bench import guest_kernel
from bench.guest_kernel import Modules
from labrt.errors import LabError


def module(folder: Path, name: str, needs: Sequence[str] = ()) -> Path:
    """Make what of a module the lab reads: its section .modinfo."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ko"
    path.write_bytes(b"\x7fELF\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=x\0")
    return path


def test_what_a_module_depends_on_comes_before_it_and_once(tmp_path: Path) -> None:
    module(tmp_path / "b", "ring")
    module(tmp_path / "a", "virtio", ["ring"])
    module(tmp_path, "virtio_blk", ["virtio", "ring"])
    module(tmp_path, "squash-fs", [])
    found = Modules([tmp_path]).needed(["virtio_blk", "squash_fs", "ring"])
    assert [file.name for file in found] == [
        "ring.ko",
        "virtio.ko",
        "virtio_blk.ko",
        "squash-fs.ko",
    ]


def test_a_driver_that_is_built_in_needs_no_module(tmp_path: Path) -> None:
    (tmp_path / "modules.builtin").write_text("kernel/fs/overlayfs/overlay.ko\n")
    assert Modules([tmp_path]).needed(["overlay"]) == []
    with pytest.raises(LookupError, match="no module evdev"):
        Modules([tmp_path]).needed(["evdev"])


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".xz", lzma.compress), (".zst", zstandard.ZstdCompressor().compress)],
)
def test_a_compressed_module_is_read_too(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    """Debian's and Ubuntu's."""
    plain = module(tmp_path, "virtio_blk", ["virtio"])
    packed = plain.with_suffix(f".ko{suffix}")
    packed.write_bytes(compress(plain.read_bytes()))
    data = plain.read_bytes()
    plain.unlink()
    module(tmp_path, "virtio")
    assert Modules([tmp_path]).needed(["virtio_blk"]) == [tmp_path / "virtio.ko", packed]
    assert guest_kernel.read_module(packed) == data


def test_set_up_keeps_what_guests_need_and_no_more(tmp_path: Path) -> None:
    tree, kept = tmp_path / "tree", tmp_path / "kept"
    kept.mkdir()
    drivers = {name for names in guest_kernel.DEVICES for name in names}
    for name in drivers:
        module(tree / "kernel", name, ["shared"])
    module(tree / "kernel", "shared")
    module(tree / "kernel", "sound")
    (tree / "modules.builtin").write_text("")
    guest_kernel.keep(tree, kept)
    names = {file.name.removesuffix(".ko") for file in kept.iterdir()}
    assert names == {*drivers, "shared", "modules.builtin"}


def test_a_kernel_without_the_modules_says_what_its_guests_cannot_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = guest_kernel.find_kernel()
    (tmp_path / "vmlinuz").symlink_to(ours.path)
    (tmp_path / "modules").mkdir()
    module(tmp_path / "modules", "button")
    module(tmp_path / "modules", "evdev")
    monkeypatch.setenv("LAB_KERNEL", str(tmp_path / "vmlinuz"))
    found = guest_kernel.find_kernel()
    assert found.release == ours.release
    assert [file.stem for file in found.power_button] == ["button", "evdev"]
    assert "no module virtio_pci" in found.no_disk
    assert "no module virtio_pci" in found.no_network


def test_a_kernel_that_is_none_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vmlinuz").write_bytes(b"not a kernel" * 100)
    monkeypatch.setenv("LAB_KERNEL", str(tmp_path / "vmlinuz"))
    with pytest.raises(LabError, match=r"not a bzImage.*LAB_KERNEL"):
        guest_kernel.find_kernel()


def test_a_kernel_that_is_not_there_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KERNEL", str(tmp_path / "nosuch"))
    with pytest.raises(LabError, match="ENOENT"):
        guest_kernel.find_kernel()
