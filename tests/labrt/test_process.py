"""The process: finding its program, as execvp(3) would."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labrt.process import Exec, FindProgram
from labrt.spec import Life, Process, Root, Spec
from labrt.step import Context


def make(folder: Path, name: str, mode: int) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\necho {folder.name} $*\n")
    file.chmod(mode)
    return file


def process(name: str, path: str = "/bin") -> Process:
    return Process(args=(name, "one", "two"), env=(f"PATH={path}",))


def of(one: Process) -> Context:
    return Context(Spec("one", "", "", "", one, Root(), Life("one")))


def executed(one: Process) -> str:
    """Become the program in a child; return what it says, or the errno of the step."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.dup2(writer, 1)
            Exec(one).do(of(one))
        except OSError as error:
            os.write(1, os.strerror(error.errno or 0).encode())
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as said:
        text = said.read().strip()
    os.wait()
    return text


def find(one: Process) -> None:
    FindProgram(one).do(of(one))


def test_a_program_named_by_its_path_is_taken_as_it_is(tmp_path: Path) -> None:
    there = process(str(make(tmp_path / "a", "tool", 0o755)))
    assert executed(there) == "a one two"
    find(there)


def test_the_first_executable_file_of_path_is_found(tmp_path: Path) -> None:
    make(tmp_path / "a", "tool", 0o644)
    (tmp_path / "b" / "tool").mkdir(parents=True)
    make(tmp_path / "c", "tool", 0o755)
    there = process("tool", f"{tmp_path}/a:{tmp_path}/b:{tmp_path}/c")
    assert executed(there) == "c one two"
    find(there)


@pytest.mark.parametrize("mode", [0o644, 0o000])
def test_a_file_that_is_not_executable_is_refused_as_such(tmp_path: Path, mode: int) -> None:
    make(tmp_path / "a", "tool", mode)
    there = process("tool", f"{tmp_path}/none:{tmp_path}/a")
    assert executed(there) == "Permission denied"
    with pytest.raises(PermissionError):
        find(there)


def test_a_folder_is_no_program(tmp_path: Path) -> None:
    assert executed(process(str(tmp_path))) == "Permission denied"
    with pytest.raises(PermissionError):
        find(process(str(tmp_path)))


@pytest.mark.parametrize("name", ["tool", "/no/such", ""])
def test_a_program_that_is_nowhere_is_told(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "here", "tool", 0o755)
    monkeypatch.chdir(tmp_path / "here")  # not in PATH, so not looked at
    assert executed(process(name, str(tmp_path))) == "No such file or directory"
    with pytest.raises(FileNotFoundError):
        find(process(name, str(tmp_path)))
