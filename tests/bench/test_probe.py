"""bench/probe: one static program that asks everything and changes nothing."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from bench import work
from bench.marks import MarkReader
from bench.probe import PROBE
from bench.static_image import COMPILER

STATE = (
    "/proc/self/mountinfo",
    "/proc/swaps",
    "/proc/sysvipc/msg",
    "/proc/sysvipc/sem",
    "/proc/sysvipc/shm",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/domainname",
    "/proc/sys/kernel/printk",
    "/proc/sys/kernel/sysrq",
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("probe") / "probe"
    PROBE.compile(path)
    return path


def ask(program: Path, file: Path) -> dict[str, str]:
    with subprocess.Popen([program, "abc123", file], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        marks = MarkReader(os.dup(process.stdout.fileno()))
        marks.wait(work.DONE, 60)
        process.terminate()
    marks.close()
    assert process.returncode == 0
    return work.read(marks.seen()).said


def test_it_compiles_without_a_warning(tmp_path: Path) -> None:
    flags = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run([*COMPILER, *flags, "-o", tmp_path / "probe", PROBE.source], check=True)


def test_it_tells_what_there_is(program: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("abc123\n")
    said = ask(program, tmp_path / "file")
    assert said["release"] == os.uname().release
    assert said["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert said["uid"] == str(os.getuid())
    assert set(said["interfaces"].split()[1:]) == {name for _, name in socket.if_nameindex()}
    assert said["host_file"] == "1"
    assert int(said["processes"]) > 1
    ours = {os.readlink(kind) for kind in Path("/proc/self/ns").iterdir()}
    assert set(said["namespaces"].split()[1:]) <= ours
    assert int(said["calls_answered"]) > 200
    assert all(len(value) < 3500 for value in said.values())


def test_another_file_and_no_file_are_not_the_sentinels(program: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("other\n")
    assert ask(program, tmp_path / "file")["host_file"] == "0"
    assert ask(program, tmp_path / "none")["host_file"] == "0"


def test_a_second_one_finds_the_first(program: Path, tmp_path: Path) -> None:
    with subprocess.Popen([program, "abc123", tmp_path], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        marks = MarkReader(os.dup(first.stdout.fileno()))
        marks.wait(work.DONE, 60)
        said = ask(program, tmp_path)
        first.terminate()
    marks.close()
    assert (said["sibling"], said["sibling_socket"]) == ("1", "1")
    assert ask(program, tmp_path)["sibling_socket"] == "0"


def test_the_host_is_as_before(program: Path, tmp_path: Path) -> None:
    before = {path: Path(path).read_text() for path in STATE if Path(path).exists()}
    ask(program, tmp_path)
    assert {path: Path(path).read_text() for path in before} == before
    assert list(tmp_path.iterdir()) == [], "no core, no file"
