"""The process: finding its program."""

from __future__ import annotations

from pathlib import Path

from labrt.process import find_program


def make(folder: Path, name: str, mode: int) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.touch()
    file.chmod(mode)
    return file


def test_a_program_named_by_its_path_is_taken_as_it_is() -> None:
    assert find_program("/no/such", "/bin") == "/no/such"


def test_the_first_executable_file_of_path_is_found(tmp_path: Path) -> None:
    make(tmp_path / "a", "tool", 0o644)
    (tmp_path / "b" / "tool").mkdir(parents=True)
    there = make(tmp_path / "c", "tool", 0o755)
    assert find_program("tool", f"{tmp_path}/a:{tmp_path}/b:{tmp_path}/c") == str(there)


def test_a_file_that_is_not_executable_is_named_so_that_execve_can_say_so(tmp_path: Path) -> None:
    there = make(tmp_path / "a", "tool", 0o644)
    assert find_program("tool", f"{tmp_path}/none:{tmp_path}/a") == str(there)


def test_a_program_that_is_nowhere_keeps_its_name(tmp_path: Path) -> None:
    assert find_program("tool", str(tmp_path)) == "tool"
