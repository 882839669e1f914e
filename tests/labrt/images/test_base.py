"""labrt/images/base: images made here, the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest

import labrt
from labrt.errors import LabError
from labrt.images import base, layers, store
from labrt.images.base import busybox, debian


def test_building_twice_gives_the_same_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = store.resolve("busybox").digest
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    assert base.ensure("busybox").digest == here


def test_its_command_is_the_ready_program() -> None:
    image = base.ensure("busybox")
    assert image.command == ("/lab/ready",)
    (folder,) = layers.unpacked(image)
    assert (folder / "lab" / "ready").stat().st_mode & 0o111


def test_without_a_static_busybox_the_remedy_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.setattr(busybox, "BUSYBOX", Path("/bin/nosuch"))
    with pytest.raises(LabError, match="apt-get install busybox-static"):
        base.ensure("busybox")


def test_another_name_is_refused() -> None:
    with pytest.raises(LabError, match="the lab's are busybox, debian, and python"):
        base.ensure("plan9")


@pytest.mark.slow
@pytest.mark.timeout(600)  # it is made twice
def test_debian_is_what_is_pinned_and_the_same_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = base.build("debian")
    assert "VERSION_CODENAME=bookworm" in labrt.output("debian", ["cat", "/etc/os-release"])
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    assert base.build("debian").digest == first.digest
    assert capsys.readouterr().err == ""


def test_without_mmdebstrap_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nosuch")
    with pytest.raises(LabError, match="apt-get install mmdebstrap"):
        base.build("debian")


def test_a_package_that_has_moved_on_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    debian.tell_other_versions({**debian.pinned(debian.PACKAGES), "bash": "99"})
    assert "other versions than pinned of bash:" in capsys.readouterr().err
    debian.tell_other_versions(debian.pinned(debian.PACKAGES))
    assert capsys.readouterr().err == ""
