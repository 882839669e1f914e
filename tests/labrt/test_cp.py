"""labrt/copying.py, labrt/archive.py: files go in and out, and no link leads astray."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

import labrt
from labrt import container, removal, state
from labrt.archive import Packer, Unpacker
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import store
from tests.labrt.conftest import needs_root
from tests.labrt.test_cli import ROOT, command, environment

pytestmark = pytest.mark.usefixtures("nothing_left")


def cp(*arguments: str, stdin: bytes = b"", status: int = 0) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        command("cp", *arguments),
        input=stdin,
        capture_output=True,
        timeout=60,
        env=environment(),
        cwd=ROOT,
    )
    assert done.returncode == status, done.stderr
    return done


class Shell:
    """A running container whose first process is a shell that does what it is told."""

    def __init__(self, c: labrt.Container, orders: TextIO, answers: TextIO) -> None:
        self.id = c.id
        self._orders = orders
        self._answers = answers

    def do(self, script: str) -> str:
        self._orders.write(f"{script}; echo @\n")
        self._orders.flush()
        lines = list(iter(self._answers.readline, "@\n"))
        return "".join(lines).strip()


@pytest.fixture
def running() -> Iterator[Shell]:
    (stdin, orders), (answers, stdout) = os.pipe(), os.pipe()
    with (
        os.fdopen(orders, "w") as writer,
        os.fdopen(answers) as reader,
        labrt.run("busybox", ["sh"], stdin=stdin, stdout=stdout) as c,
    ):
        os.close(stdin)
        os.close(stdout)
        yield Shell(c, writer, reader)


@pytest.fixture
def stopped(request: pytest.FixtureRequest) -> Iterator[str]:
    options = getattr(request, "param", {})
    spec = declare(store.resolve("busybox"), ["true"], detach=True, **options)
    container.create(spec)
    yield spec.id
    removal.remove(state.find(spec.id))


@pytest.fixture(params=["running", "stopped"])
def either(request: pytest.FixtureRequest) -> str:
    """A container that runs, and one that doesn't: for `cp` there is no difference."""
    found = request.getfixturevalue(request.param)
    return found if isinstance(found, str) else found.id


def archive(*members: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size) if member.size > 1 else b"x"))
    return stream.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, kind == tarfile.REGTYPE
    return info


def test_a_file_goes_in_and_comes_out(either: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("hello")
    cp(f"{tmp_path}/in", f"{either}:/file")
    cp(f"{either}:/file", f"{tmp_path}/out")
    assert (tmp_path / "out").read_text() == "hello"


def test_a_tree_goes_in_and_comes_out_with_modes_links_and_times(
    either: str, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "closed").mkdir(parents=True)
    (tree / "closed" / "file").write_text("deep")
    (tree / "closed").chmod(0o500)
    (tree / "tool").write_text("run me")
    (tree / "tool").chmod(0o755)
    os.utime(tree / "tool", (1e9, 1e9))
    (tree / "same").hardlink_to(tree / "tool")
    (tree / "nowhere").symlink_to("/no/such")
    cp(str(tree), f"{either}:/tmp")
    cp(f"{either}:/tmp/tree", f"{tmp_path}/copy")
    copy = tmp_path / "copy"
    assert (copy / "closed" / "file").read_text() == "deep"
    assert (copy / "closed").stat().st_mode & 0o777 == 0o500
    assert (copy / "tool").stat().st_mode & 0o777 == 0o755
    assert (copy / "tool").stat().st_mtime == 1e9
    assert (copy / "same").samefile(copy / "tool")
    assert os.readlink(copy / "nowhere") == "/no/such"


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("d", "there", "there/d/f"),  # into a folder that is there
        ("d/.", "there", "there/f"),  # only what is in it
        ("d", "new", "new/f"),  # it becomes the new one
        ("d/f", "there", "there/f"),
        ("d/f", "there/new", "there/new"),
        ("d/f", "there/old", "there/old"),  # in a file's place
    ],
)
def test_where_it_lands_is_as_with_docker(
    running: Shell, tmp_path: Path, source: str, target: str, found: str
) -> None:
    for folder in ("d", "there"):
        (tmp_path / folder).mkdir()
    (tmp_path / "d" / "f").write_text("f")
    (tmp_path / "there" / "old").write_text("old")
    cp(str(tmp_path), f"{running.id}:/work")
    cp(f"{running.id}:/work/{source}", f"{tmp_path}/{target}")
    assert (tmp_path / found).read_text() == "f"
    cp(f"{tmp_path}/{source}", f"{running.id}:/work/{target}")
    cp(f"{running.id}:/work/{found}", f"{tmp_path}/back")
    assert (tmp_path / "back").read_text() == "f"


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("d/f", "new/", "ENOENT|a file can't take a folder's place"),
        ("d", "d/f", "a file or a link is in its place"),
        ("nosuch", "new", "ENOENT"),
        ("d/f", "nosuch/new", "ENOENT"),
    ],
)
def test_what_cannot_be_copied_is_one_line_in_both_directions(
    running: Shell, tmp_path: Path, source: str, target: str, said: str
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("f")
    cp(str(tmp_path), f"{running.id}:/work")
    for arguments in (
        (f"{running.id}:/work/{source}", f"{tmp_path}/{target}"),
        (f"{tmp_path}/{source}", f"{running.id}:/work/{target}"),
    ):
        error = cp(*arguments, status=125).stderr.decode()
        assert error.count("\n") == 1
        assert any(words in error for words in said.split("|")), error


def test_a_stream_is_tar_both_ways(either: str) -> None:
    cp("-", f"{either}:/tmp", stdin=archive(member("a/b")))
    out = cp(f"{either}:/tmp/a", "-").stdout
    with tarfile.open(fileobj=io.BytesIO(out)) as tar:
        assert tar.getnames() == ["a", "a/b"]


def test_more_than_a_pipe_holds(either: str, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(3 << 20))
    cp(f"{tmp_path}/big", f"{either}:/big")
    cp(f"{either}:/big", f"{tmp_path}/back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "big").read_bytes()


@needs_root
def test_a_copy_belongs_to_root_there_and_to_the_user_here_unless_owners_are_kept(
    running: Shell, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    os.chown(tmp_path / "file", 1234, 1234)
    for option, inside in (("--follow-link", "0"), ("--archive", "1234")):
        cp(option, f"{tmp_path}/file", f"{running.id}:/file")
        assert running.do("stat -c %u /file") == inside
    cp(f"{running.id}:/file", f"{tmp_path}/plain")
    cp("-a", f"{running.id}:/file", f"{tmp_path}/kept")
    assert (tmp_path / "plain").stat().st_uid == os.geteuid()
    assert (tmp_path / "kept").stat().st_uid == 1234


def test_no_setuid_program_reaches_the_host(running: Shell, tmp_path: Path) -> None:
    running.do("cp /bin/busybox /tmp/evil; chmod 6755 /tmp/evil")
    cp(f"{running.id}:/tmp/evil", f"{tmp_path}/evil")
    assert (tmp_path / "evil").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("link", ["/etc", "/../../../../etc", "/proc/1/root/etc"])
def test_a_link_of_the_container_leads_to_its_own_files(
    running: Shell, tmp_path: Path, link: str
) -> None:
    """CVE-2018-15664: looked up on the host, it would lead to the host's /etc."""
    running.do(f"ln -s {link} /way; echo the container >/etc/mark")
    if link.startswith("/proc"):
        assert b"ELOOP" in cp(f"{running.id}:/way/mark", f"{tmp_path}/x", status=125).stderr
        return
    cp(f"{running.id}:/way/mark", f"{tmp_path}/mark")
    assert (tmp_path / "mark").read_text() == "the container\n"
    (tmp_path / "new").write_text("for the container")
    cp(f"{tmp_path}/new", f"{running.id}:/way/lab-cp-test")
    assert not Path("/etc/lab-cp-test").exists()
    cp(f"{running.id}:/etc/lab-cp-test", f"{tmp_path}/back")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the hostile library is in C")
def test_the_containers_libraries_are_never_loaded(running: Shell, tmp_path: Path) -> None:
    """CVE-2019-14271: looking up an owner's name loads libnss of whatever root one is in."""
    library = tmp_path / "libnss_evil.so.2"
    source = tmp_path / "evil.c"
    source.write_text(
        "#include <fcntl.h>\n"
        '__attribute__((constructor)) void run(void) { open("/loaded", O_CREAT, 0600); }'
    )
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    running.do("mkdir -p /lib /tmp/tree; echo 'passwd: evil' >/etc/nsswitch.conf")
    cp(str(library), f"{running.id}:/lib/")
    cp(f"{running.id}:/tmp/tree", f"{tmp_path}/out")
    cp(str(tmp_path / "out"), f"{running.id}:/tmp/in")
    assert running.do("test -e /loaded || echo never") == "never"


def test_what_the_container_hands_out_stays_in_the_folder(tmp_path: Path) -> None:
    """Were the container's half of the copy itself in hostile hands."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("untouched")
    folder = tmp_path / "folder"
    folder.mkdir()
    for hostile in (
        [member("../evil")],
        [member("way", tarfile.SYMTYPE, str(outside)), member("way/file")],
        [member("way", tarfile.SYMTYPE, ".."), member("way/outside/file")],
        [member("evil", tarfile.LNKTYPE, "../outside/file")],
        [member("way", tarfile.SYMTYPE, ".."), member("evil", tarfile.LNKTYPE, "way/outside/file")],
        [member("disk", tarfile.BLKTYPE)],
        [member("pipe", tarfile.FIFOTYPE)],
        [member(".")],
    ):
        fd = os.open(folder, os.O_RDONLY)
        with pytest.raises(LabError, match="unpack|enter"):
            Unpacker(fd, []).unpack(io.BytesIO(archive(*hostile)))
        os.close(fd)
    assert [path.name for path in tmp_path.rglob("*evil*")] == []
    assert (outside / "file").read_text() == "untouched"


def test_a_link_is_replaced_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("untouched")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").symlink_to("../precious")
    fd = os.open(folder, os.O_RDONLY)
    Unpacker(fd, []).unpack(io.BytesIO(archive(member("file"))))
    os.close(fd)
    assert (tmp_path / "precious").read_text() == "untouched"
    assert (folder / "file").read_text() == "x"


def test_a_pipe_in_the_tree_is_left_out_and_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    fd = os.open(tmp_path, os.O_RDONLY)
    stream = io.BytesIO()
    packer = Packer(stream)
    packer.pack(fd, ".", ".")
    os.close(fd)
    assert packer.left_out == ["./pipe"]
    stream.seek(0)
    with tarfile.open(fileobj=stream) as packed:
        assert packed.getnames() == [".", "./file"]


@pytest.mark.parametrize("stopped", [{"volume": ["cp-test:/data"]}], indirect=True)
def test_a_volume_of_a_container_that_does_not_run_is_there(
    stopped: str, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("kept")
    cp(f"{tmp_path}/file", f"{stopped}:/data")
    volume = home / "volumes" / "cp-test"
    assert (volume / "file").read_text() == "kept"
    state.remove_tree(volume)


@pytest.mark.parametrize("stopped", [{"read_only": True}], indirect=True)
def test_a_read_only_root_stays_so(stopped: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert b"EROFS" in cp(f"{tmp_path}/file", f"{stopped}:/file", status=125).stderr


def test_killed_half_way_it_lets_go_of_the_container(stopped: str) -> None:
    big = member("big")
    big.size = 4 << 20
    with subprocess.Popen(
        command("cp", "-", f"{stopped}:/tmp"), stdin=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdin is not None
        process.stdin.write(archive(big)[: 2 << 20])  # more than a pipe holds: it is being read
        assert container.try_lock(state.find(stopped)) is None, "nobody may start it meanwhile"
        process.kill()
        process.wait(30)
        assert _freed(state.find(stopped))


def _freed(folder: Path) -> bool:
    """Wait until the container's lock is free, which needs both processes' end."""
    for _ in range(1000):
        if (lock := container.try_lock(folder)) is not None:
            os.close(lock)
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("/a", "/b"), "exactly one of the two"),
        (("a:/a", "b:/b"), "exactly one of the two"),
        (("nosuch:/a", "/b"), "there is none of this name"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[str, str], said: str) -> None:
    assert said in cp(*arguments, status=125).stderr.decode()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_who_may_not_give_files_away_is_told_so(running: Shell, tmp_path: Path) -> None:
    assert b"omit -a" in cp("-a", f"{running.id}:/etc", f"{tmp_path}/x", status=125).stderr


def test_what_is_not_tar_is_refused(running: Shell) -> None:
    assert b"read the archive" in cp("-", f"{running.id}:/tmp", stdin=b"no tar", status=125).stderr
