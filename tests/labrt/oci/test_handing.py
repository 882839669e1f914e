"""labrt/oci/handing.py and what else crosses between an engine and a container: descriptors,
terminals, keyrings; and the program itself, which no container can overwrite."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.labrt.oci.conftest import Bundle, Oci, ended, kill

Maker = Callable[..., Bundle]
LISTED = "ls -l /proc/self/fd | grep -o '[0-9]* -> .*'"


def test_no_descriptor_is_inherited_but_those_that_are_named(
    oci: Oci, make_bundle: Maker, tmp_path: Path
) -> None:
    bundle = make_bundle("sh", "-c", LISTED)
    (tmp_path / "given").write_text("given")
    script = 'exec 3<"$1" 4<"$1" 5<"$1"; shift; exec "$@"'
    before = ["sh", "-c", script, "sh", str(tmp_path / "given")]

    def run(*words: str, env: dict[str, str] | None = None) -> list[str]:
        command = [*before, *oci.command("run", *words, bundle.at, "oci-1")]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **(env or {})}
        )
        assert done.returncode == 0, done.stderr
        return [line.split()[0] for line in done.stdout.splitlines() if "given" in line]

    assert run() == []
    assert run("--preserve-fds=2") == ["3", "4"]
    assert run(env={"LISTEN_FDS": "1"}) == ["3"]
    assert run("--preserve-fds=1", env={"LISTEN_FDS": "1"}) == ["3", "4"]


def test_listen_fds_are_told_of(oci: Oci, make_bundle: Maker) -> None:
    bundle = make_bundle("sh", "-c", "echo $LISTEN_FDS $LISTEN_PID $$")
    command = ["sh", "-c", 'exec 3</dev/null; exec "$@"', "sh"]
    done = subprocess.run(
        [*command, *oci.command("run", bundle.at, "oci-1")],
        capture_output=True,
        text=True,
        env={**os.environ, "LISTEN_FDS": "1"},
    )
    assert done.stdout == "1 1 1\n"


def test_a_descriptor_that_isnt_open_is_refused(oci: Oci, make_bundle: Maker) -> None:
    bundle = make_bundle("true")
    assert "isn't open" in oci.refused("create", "--preserve-fds=90", bundle.at, "oci-1")
    assert "no number" in oci.refused("create", "--preserve-fds=x", bundle.at, "oci-1")


@pytest.fixture
def console(tmp_path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "console"))
    listener.listen()
    return listener


def terminal(console: socket.socket) -> int:
    """Take the terminal that a runtime has sent, as conmon does."""
    with console, console.accept()[0] as way:
        _name, (master,), _flags, _address = socket.recv_fds(way, 64, 1)
    return master


def test_a_terminal_is_sent_over_the_engines_socket(
    oci: Oci, make_bundle: Maker, console: socket.socket, tmp_path: Path
) -> None:
    bundle = make_bundle("sh", "-c", "tty; read line; echo got $line", terminal=True)
    given = f"--console-socket={tmp_path}/console"
    oci.ok("create", bundle.at, given, f"--pid-file={tmp_path}/pid", "oci-1")
    master = terminal(console)
    oci.ok("start", "oci-1")
    os.write(master, b"words\n")
    assert ended(int((tmp_path / "pid").read_text())) == 0
    said = os.read(master, 4096).decode()
    os.close(master)
    assert "/dev/pts/0" in said and "got words" in said


def test_a_process_that_enters_gets_a_terminal_too(
    oci: Oci, sleeper: Bundle, console: socket.socket, tmp_path: Path
) -> None:
    oci.ok("run", "-d", sleeper.at, "oci-1")
    given = [f"--console-socket={tmp_path}/console", f"--pid-file={tmp_path}/pid"]
    oci.ok("exec", "--detach", "--tty", *given, "oci-1", "tty")
    master = terminal(console)
    assert ended(int((tmp_path / "pid").read_text())) == 0
    assert os.read(master, 4096).startswith(b"/dev/pts/")
    os.close(master)


def keyrings() -> set[str]:
    """The names of the session keyrings that this user may look at (proc_keys(5))."""
    return {line.split()[8] for line in Path("/proc/keys").read_text().splitlines()}


def test_a_session_keyring_of_its_own_unless_told_otherwise(oci: Oci, sleeper: Bundle) -> None:
    if not Path("/proc/keys").exists():
        pytest.skip("this kernel keeps no keys")
    # Two names: the kernel takes an ended container's keyring away some time later.
    for name, option, made in (("oci-1", [], True), ("oci-2", ["--no-new-keyring"], False)):
        oci.ok("create", *option, sleeper.at, f"--pid-file={sleeper.folder}/pid", name)
        assert (f"_ses.{name}:" in keyrings()) is made
        kill(int((sleeper.folder / "pid").read_text()))
        oci.ok("delete", name)


def test_no_container_can_overwrite_the_program(oci: Oci, sleeper: Bundle) -> None:
    """Whoever holds its process could, as root (CVE-2019-5736), were it the file on the disk."""
    oci.ok("create", sleeper.at, f"--pid-file={sleeper.folder}/pid", "oci-1")
    pid = int((sleeper.folder / "pid").read_text())
    with pytest.raises(OSError) as refused:
        os.open(f"/proc/{pid}/exe", os.O_WRONLY)
    assert refused.value.errno in (errno.EROFS, errno.EPERM)  # an overlay; a sealed memfd
    kill(pid)


def test_an_image_that_invites_the_program_gets_one_that_it_cant_write(
    oci: Oci, make_bundle: Maker, rootfs: Path
) -> None:
    """A program that is "#!/proc/self/exe" has the kernel start the lab's Python again."""
    trap = rootfs / "tmp/trap"
    trap.write_text("#!/proc/self/exe\nimport os\nos.open('/proc/self/exe', os.O_WRONLY)\n")
    trap.chmod(0o755)
    done = oci("run", make_bundle("/tmp/trap").at, "oci-1")
    assert done.returncode != 0
    assert "Text file busy" not in done.stderr
    trap.unlink()


def test_a_copy_of_the_program_elsewhere_says_so(program: Path, tmp_path: Path) -> None:
    """It finds the lab by its own place, and imports from nowhere else."""
    copy = tmp_path / "labrt-oci"
    copy.write_bytes(program.read_bytes())
    copy.chmod(0o755)
    done = subprocess.run([copy, "--version"], capture_output=True, text=True, cwd=program.parent)
    assert done.returncode == 1
    assert done.stderr.startswith("labrt-oci: find the lab")
