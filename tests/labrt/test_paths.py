"""labrt/paths.py: files that are whole, and locks that the kernel lets go."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from labrt import paths


def test_a_file_is_replaced_whole_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old, and longer")
    before = os.umask(0o077)
    try:
        paths.write_whole(file, b"new")
    finally:
        os.umask(before)
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new", 0o644)
    paths.write_whole(file, b"secret", 0o600)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_what_fails_leaves_the_old_one_and_nothing_aside(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        paths.write_whole(tmp_path / "folder", b"new")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_file_is_read_and_written_whole_however_long(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    paths.write_whole(tmp_path / "file", data)
    assert paths.read_bytes(tmp_path / "file") == data
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize("name", ["file", "."])
def test_a_lock_keeps_others_out_until_it_is_let_go(name: str, tmp_path: Path) -> None:
    with paths.locked(tmp_path / name), pytest.raises(BlockingIOError):
        paths.lock(tmp_path / name, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(paths.lock(tmp_path / name, fcntl.LOCK_EX | fcntl.LOCK_NB))


def test_a_lock_file_is_ours_and_no_link(tmp_path: Path) -> None:
    with paths.locked(tmp_path / "lock"):
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "lock")
    with pytest.raises(OSError, match="symbolic links"):
        paths.lock(tmp_path / "link")


def test_whatever_the_umask_containers_pass_through_lab_home_and_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAB_RUN", str(tmp_path / "run"))
    before = os.umask(0o077)
    try:
        paths.make(paths.home() / "images")
        paths.run_dir()
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("home", "run")]
    assert modes == [0o711, 0o711]
    assert stat.S_IMODE((tmp_path / "home/images").stat().st_mode) == 0o700


def test_a_folder_below_lab_home_comes_with_those_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "private" / "home"))
    before = os.umask(0o077)
    try:
        paths.make_passable(paths.home() / "containers" / "it")
        paths.make_passable(paths.home() / "containers")
    finally:
        os.umask(before)
    modes = {
        name: stat.S_IMODE((tmp_path / "private" / name).stat().st_mode)
        for name in (".", "home", "home/containers", "home/containers/it")
    }
    assert modes == {
        ".": 0o700,
        "home": 0o711,
        "home/containers": 0o711,
        "home/containers/it": 0o711,
    }
