"""labrt/images/base.py: the busybox image, made here, the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.images import base, layers, store


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
    monkeypatch.setattr(base, "BUSYBOX", Path("/bin/nosuch"))
    with pytest.raises(LabError, match="apt-get install busybox-static"):
        base.ensure("busybox")


def test_another_name_is_refused() -> None:
    with pytest.raises(LabError, match="one base image: busybox"):
        base.ensure("plan9")
