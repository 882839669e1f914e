"""bench/accelerator.py: KVM is believed once the lab's own guest has booted with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import accelerator
from bench.accelerator import Verdict
from labrt import paths
from labrt.errors import LabError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A LAB_HOME without a verdict, and no supervisor's word."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.delenv("LAB_KVM_HIDDEN", raising=False)
    monkeypatch.delenv("LAB_ACCEL", raising=False)
    return tmp_path


@pytest.mark.parametrize("said", ["kvm", "tcg"])
def test_the_user_overrules(home: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("LAB_ACCEL", said)
    found = accelerator.verdict()
    assert found.accelerator == said
    assert f"LAB_ACCEL={said}" in found.reason
    assert not (home / "accelerator.json").exists()


def test_another_word_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_ACCEL", "hvf")
    with pytest.raises(LabError, match="say kvm, tcg, or nothing"):
        accelerator.verdict()


def test_without_a_node_it_is_tcg_with_the_reason_and_is_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "NODE", home / "kvm")
    found = accelerator.verdict()
    assert found.accelerator == "tcg"
    assert "no hardware virtualization here" in found.reason
    assert accelerator.known() == found


def test_a_verdict_of_another_boot_no_longer_holds(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "NODE", home / "kvm")
    accelerator.verdict()
    kept = json.loads((home / "accelerator.json").read_text())
    kept["holds_for"]["boot_id"] = "another"
    (home / "accelerator.json").write_text(json.dumps(kept))
    assert accelerator.known() is None


def test_a_damaged_file_is_asked_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "NODE", home / "kvm")
    (home / "accelerator.json").write_text('{"accelerator": "kv')
    assert accelerator.known() is None
    assert accelerator.verdict().accelerator == "tcg"


def test_the_supervisors_word_is_handed_down(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KVM_HIDDEN", "it hangs")
    found = accelerator.verdict()
    assert isinstance(found, Verdict)
    assert (found.accelerator, found.reason) == ("tcg", "it hangs")


def test_qemu_alone_boots_the_guest_under_emulation() -> None:
    assert 0 < accelerator.boot("tcg", deadline=60.0) < 60
    assert not list(paths.run_dir().glob("qemu-*"))
