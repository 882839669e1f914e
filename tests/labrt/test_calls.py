"""Calls: what labrt/calls.py encodes, labrt/calls.c performs."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from labrt import calls, syscalls
from labrt.calls import (
    ANY,
    AT_FDCWD,
    END,
    Call,
    Calls,
    Program,
    call,
    expect,
    is_device,
    is_regular,
    kept,
    leave_unless,
    look,
    open_point,
    path_of,
    pointers,
    refuse,
    scratch,
)
from labrt.errors import LabError

REFUSED = LabError("try", "it is refused")


def made(path: Path) -> Call:
    return call("mkdirat", AT_FDCWD, str(path), 0o755)


def in_child(program: Callable[[int], object]) -> tuple[str, int]:
    """Run it in a child, with a pipe to report by; return what came, and how the child ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            program(writer)
        finally:
            os._exit(99)
    os.close(writer)
    with os.fdopen(reader, encoding="latin-1") as said:
        text = said.read()
    return text, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_calls_change_this_process(tmp_path: Path) -> None:
    calls.perform([made(tmp_path / "a"), made(tmp_path / "a" / "b")])
    assert (tmp_path / "a" / "b").is_dir()


def test_a_call_that_fails_is_told_by_its_errno_and_nothing_follows(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        calls.perform([made(tmp_path), made(tmp_path / "a")])
    assert not (tmp_path / "a").exists()


def test_a_refusal_is_told_in_place_of_the_errno(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="it is refused"):
        calls.perform([made(tmp_path)._replace(refusals={errno.EEXIST: REFUSED})])


@pytest.mark.parametrize("error", [errno.EEXIST, ANY])
def test_after_an_errno_it_goes_on_where_it_says(tmp_path: Path, error: int) -> None:
    failing = made(tmp_path)._replace(unless={error: 1})
    calls.perform([failing, made(tmp_path / "left out"), made(tmp_path / "done")])
    assert os.listdir(tmp_path) == ["done"]


def test_another_errno_fails_it_still(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        calls.perform([made(tmp_path)._replace(unless={errno.EPERM: 0})])


def test_after_a_success_it_goes_on_where_it_says(tmp_path: Path) -> None:
    calls.perform([made(tmp_path / "done")._replace(then=END), refuse(errno.EIO)])
    with pytest.raises(OSError, match="Input/output error"):
        calls.perform([made(tmp_path / "b")._replace(then=1), refuse(1), refuse(errno.EIO)])


def test_a_result_is_kept_for_later_calls_of_any_step(tmp_path: Path) -> None:
    kind = os.O_RDONLY | os.O_CLOEXEC
    calls.perform([call("openat", AT_FDCWD, str(tmp_path), kind, 0, result="file")])
    calls.perform([call("mkdirat", kept("file"), "a", 0o755), call("close", kept("file"))])
    assert (tmp_path / "a").is_dir()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(calls.result("file"))


def test_a_file_below_an_open_one_has_a_path(tmp_path: Path) -> None:
    kind = os.O_PATH | os.O_CLOEXEC
    opened = call("openat", AT_FDCWD, str(tmp_path), kind, 0, result="file")
    made_below = call("mkdirat", AT_FDCWD, path_of(kept("file"), "/a"), 0o755)
    calls.perform([opened, made_below, call("close", kept("file"))])
    assert (tmp_path / "a").is_dir()


def test_what_a_call_writes_can_be_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = call("getcwd", scratch(), 4096)
    calls.perform([where, expect(scratch(), os.fsencode(tmp_path), REFUSED)])
    with pytest.raises(LabError, match="it is refused"):
        calls.perform([where, expect(scratch(), b"/elsewhere", REFUSED)])
    with pytest.raises(LabError, match="it is refused"):
        calls.perform([where, expect(scratch(1), os.fsencode(tmp_path), REFUSED)])


def test_the_kind_of_a_file_can_be_asked(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    file.chmod(0o4751)
    calls.perform([look(AT_FDCWD, str(file)), is_regular(then=1), refuse(errno.EIO)])
    calls.perform([look(AT_FDCWD, str(tmp_path)), is_regular(then=1), made(tmp_path / "a")])
    assert (tmp_path / "a").is_dir()
    null = look(AT_FDCWD, "/dev/null")
    calls.perform([null, *is_device(stat.S_IFCHR, (1, 3), REFUSED)])
    for kind, number in ((stat.S_IFBLK, (1, 3)), (stat.S_IFCHR, (1, 5)), (stat.S_IFIFO, None)):
        with pytest.raises(LabError, match="it is refused"):
            calls.perform([null, *is_device(kind, number, REFUSED)])


def test_texts_that_are_no_unicode_are_passed_as_they_are(tmp_path: Path) -> None:
    calls.perform([made(Path(os.fsdecode(bytes(tmp_path) + b"/\xff\xfe")))])
    assert os.listdir(bytes(tmp_path)) == [b"\xff\xfe"]


def test_a_structure_may_point_to_texts() -> None:
    words = pointers([b"echo\0", b"one\0", b"two words\0", None])

    def execute(report: int) -> None:
        calls.perform([call("dup3", report, 1, 0), call("execve", "/bin/echo", words, words)])

    assert in_child(execute) == ("one two words\n", 0)


def test_a_structure_may_have_a_head() -> None:
    allow = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # BPF_RET | SECCOMP_RET_ALLOW
    filter_program = pointers([allow], struct.pack("=H6x", 1))

    def load(report: int) -> None:
        no_new_privileges = call("prctl", syscalls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        mode = syscalls.SECCOMP_SET_MODE_FILTER
        calls.perform([no_new_privileges, call("seccomp", mode, 0, filter_program)])
        os.write(report, Path("/proc/self/status").read_bytes())

    assert "Seccomp_filters:\t1" in in_child(load)[0]


def test_it_leaves_without_a_word_unless_it_is_told_to_go_on(tmp_path: Path) -> None:
    def wait(said: bytes) -> tuple[str, int]:
        reader, writer = os.pipe()
        os.write(writer, said)
        os.close(writer)
        asked = call("read", reader, scratch(), 2)
        go_on = [asked, *leave_unless(scratch(), b"go"), call("write", kept("report"), b"on", 2)]
        try:
            return in_child(Program([Calls(go_on)], 1).perform)
        finally:
            os.close(reader)

    assert wait(b"go") == ("on", 1)
    assert wait(b"") == ("", 1)
    assert wait(b"gx") == ("", 1)


# Mount points.


def test_a_mount_point_is_made_with_its_folders_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        for folder, name in ((True, "folder"), (False, "file")):
            place = tmp_path / "a" / "b" / name
            calls.perform([open_point(str(place), folder, {}), call("close", kept("point"))])
            assert place.is_dir() == folder
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o755


def test_a_mount_point_that_is_there_is_opened_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o700)
    calls.perform([open_point(str(tmp_path / "there"), True, {})])
    opened = calls.result("point")
    assert os.readlink(f"/proc/self/fd/{opened}") == str(tmp_path / "there")
    assert stat.S_IMODE(os.fstat(opened).st_mode) == 0o700
    os.close(opened)


@pytest.mark.parametrize("place", ["link", "link/below", "dangling", "dangling/below"])
def test_a_mount_point_is_never_behind_a_link(tmp_path: Path, place: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "dangling").symlink_to("nowhere")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LabError, match="it is refused"):
        calls.perform([open_point(str(tmp_path / place), True, {errno.ELOOP: REFUSED})])
    assert os.listdir(tmp_path / "elsewhere") == []
    assert len(os.listdir("/proc/self/fd")) == before


# A program.


def test_a_program_tells_the_time_of_each_step_before_its_parting() -> None:
    nothing = Calls([call("umask", 0o22)])
    text, code = in_child(Program([nothing, nothing, nothing], 2).perform)
    times = struct.unpack("=4q", text.encode("latin-1").removeprefix(b"exec:"))
    assert times[0] + times[1] <= times[2]
    assert all(duration >= 0 for duration in times[1::2])
    assert code == 1


def test_a_program_tells_which_step_failed_at_which_call() -> None:
    parts = [Calls([call("umask", 0o22)]), Calls([call("umask", 0o22), refuse(errno.EIO)])]
    text, code = in_child(Program(parts, 2).perform)
    assert text == f'failed:{{"failed": 1, "call": 1, "errno": {errno.EIO}}}'
    assert code == 1


def test_a_program_names_the_descriptors_that_it_is_to_be_given() -> None:
    given = [calls.descriptor(7), calls.descriptor(9)]
    parts = [Calls([call("read", each, scratch(), 1)]) for each in given]
    assert Program(parts, 1).descriptors == [7, 9]


def test_a_call_that_the_library_does_not_know_is_a_fault() -> None:
    with pytest.raises(LookupError, match="no_such_call"):
        calls.perform([call("no_such_call")])
