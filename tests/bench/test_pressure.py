"""bench/pressure.py: what the kernel tells of waiting, and a kernel that doesn't."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import pressure


def test_the_share_of_the_last_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pressure, "FOLDER", tmp_path)
    for name, share in (("memory", "12.50"), ("cpu", "0.00")):
        text = f"some avg10={share} avg60=1.00 avg300=2.00 total=5\nfull avg10=9.00 total=1\n"
        (tmp_path / name).write_text(text)
    assert pressure.now() == {"memory": 0.125, "cpu": 0.0}
    assert pressure.unavailable() is None


def test_a_kernel_without_it_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pressure, "FOLDER", tmp_path)
    assert pressure.now() == {}
    assert "psi=1" in (pressure.unavailable() or "")


@pytest.mark.skipif(pressure.unavailable() is not None, reason=str(pressure.unavailable()))
def test_this_kernel_tells_a_share() -> None:
    assert all(0 <= share <= 1 for share in pressure.now().values())
