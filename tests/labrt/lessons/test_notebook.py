"""The first and the last cell; errors in one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import labrt
from labrt import launching
from labrt.lessons import ledger, needs
from labrt.lessons.lesson import keys

ROOT = Path(__file__).parent.parent.parent.parent

pytestmark = pytest.mark.usefixtures("student", "nothing_left")


@pytest.mark.parametrize("key", keys())
def test_begin_tells_each_need_and_where_the_ledger_is(key: str) -> None:
    told = labrt.begin(key).text
    assert "start a container" in told
    assert str(ledger.path()) in told
    assert ledger.entries(key)[0]["kind"] == "begin"


def test_begin_builds_the_image_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "fresh"))
    assert not (tmp_path / "fresh").exists()
    launching.close_launcher()
    assert re.search("start a container +ok", labrt.begin("uts").text)
    labrt.clean_up()


def test_begin_tells_what_is_missing_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    told = labrt.begin("uts").text
    assert "2 needs missing" in told  # the second: QEMU
    assert "install the packages util-linux and hostname" in told


def test_not_linux_names_the_lab_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(labrt.LabError, match="vagrant up"):
        needs.linux()


def test_clean_up_ends_containers_and_what_lives_in_own_namespaces() -> None:
    box = labrt.run("busybox", ["sleep", "600"])
    by_hand = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--uts", "sh", "-c", "echo; exec sleep 600"],
        stdout=subprocess.PIPE,
    )
    plain = subprocess.Popen(["sleep", "600"])
    assert by_hand.stdout is not None
    by_hand.stdout.readline()
    try:
        told = labrt.clean_up().text
        assert "containers ended:      1" in told
        assert "other processes ended: 1" in told
        assert "left:                  nothing" in told
        assert box.wait(0) is not None
        box.close()
        assert plain.poll() is None, "an ordinary process is none of its business"
    finally:
        plain.kill()
        plain.wait()
        by_hand.stdout.close()
        by_hand.wait()


def test_clean_up_with_nothing_to_do_is_content() -> None:
    labrt.clean_up()
    assert "containers ended:      0" in labrt.clean_up().text


def test_a_lab_error_in_ipython_is_one_line_without_a_traceback() -> None:
    code = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import labrt; x = labrt.begin('uts')", store_history=False)
done = shell.run_cell("labrt.run('nosuch')", store_history=False)
assert type(done.error_in_exec).__name__ == "LabError", "a failed cell stays a failed cell"
shell.run_cell("1 / 0", store_history=False)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": os.environ["LAB_HOME"]}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "nosuch" in line]
    assert len(lines) == 1 and lines[0].startswith("labrt: ")
    assert "LabError" not in done.stdout
    assert "ZeroDivisionError" in done.stdout, "any other error keeps its traceback"
