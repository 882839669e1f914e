"""What a hostile image or program tries against the host, and the kernel's answer to each.

The attempts are small C programs, so that nothing but the kernel is asked. The default container is
held by several walls at once; the second posture takes the filter and the capabilities' limits away
and shows that the user namespace alone still protects the host.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labrt import client
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import store
from labrt.options import given
from tests.labrt.conftest import needs_root

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="the attacks are in C"),
]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def layer(home: Path) -> Iterator[Path]:
    """A hostile layer to put upon the image; files are added by name."""
    folder = home / "hostile"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def compiled(source: str, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-static", "-O1", "-o"]
    done = subprocess.run(["gcc", *flags, target, HERE / source], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"gcc can't build it: {done.stderr.strip().splitlines()[-1]}")
    return target


def run_with(layers: list[Path], args: list[str], stdin: int | None = None, **options: Any) -> str:
    """Run a container of busybox with more layers on top; return what it wrote."""
    spec = declare(store.resolve("busybox"), args, given(**options))
    stack = (*spec.root.layers, *map(str, layers))
    spec = replace(spec, root=replace(spec.root, layers=stack))
    reader, writer = os.pipe()
    with open(os.devnull, "rb") as null, os.fdopen(reader) as told:
        try:
            first = null.fileno() if stdin is None else stdin
            container = client.Container(spec, (first, writer, writer))
        finally:
            os.close(writer)
        with container:
            text = told.read()
            container.wait(30)
            return text


@pytest.fixture(scope="module")
def attacks(layer: Path) -> Path:
    folder = layer / "attacks"
    compiled("attacks.c", folder / "attack")
    folder.chmod(0o755)
    return folder


def answers(attacks: Path, stdin: int | None = None, **options: Any) -> dict[str, str]:
    text = run_with([attacks], ["/attack", str(os.getpid())], stdin, **options)
    return dict(line.split() for line in text.splitlines())


@pytest.fixture(scope="module")
def default(attacks: Path) -> dict[str, str]:
    return answers(attacks)


@pytest.fixture(scope="module")
def unfiltered(attacks: Path) -> dict[str, str]:
    return answers(attacks, privileged=True)


@pytest.mark.parametrize(
    "attempt",
    [
        *("mount", "umount2", "pivot_root", "fsopen", "open_tree", "setns", "sethostname"),
        *("unshare-mount", "unshare-user", "clone-user"),
        *("process_vm_readv", "pidfd_getfd", "kcmp"),
        *("add_key", "keyctl", "request_key"),
        *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup"),
        *("init_module", "finit_module", "delete_module", "reboot", "kexec_load"),
        *("settimeofday", "syslog", "swapon", "acct"),
        *("open_by_handle_at", "mknod-disk", "mknod-kmsg", "socket-vsock"),
    ],
)
def test_by_default_it_is_refused(default: dict[str, str], attempt: str) -> None:
    assert default[attempt] == "EPERM"


def test_what_ordinary_programs_do_is_allowed(default: dict[str, str]) -> None:
    assert (default["clone-plain"], default["socket-inet"]) == ("0", "0")


def test_what_the_filter_does_not_know_is_as_if_the_kernel_did_not_either(
    default: dict[str, str],
) -> None:
    assert default["unknown"] == "ENOSYS"
    assert default["clone3"] == "ENOSYS", "its flags can't be seen, and libc can do without"


def test_the_hosts_processes_do_not_exist(default: dict[str, str]) -> None:
    assert (default["ptrace-host"], default["kill-host"]) == ("ESRCH", "ESRCH")


@pytest.mark.parametrize("attempt", ["write-sysctl", "write-sysrq", "write-sysfs"])
def test_the_hosts_settings_cannot_be_written(default: dict[str, str], attempt: str) -> None:
    assert default[attempt] in ("EACCES", "EROFS", "ENOENT")  # ENOENT: not in this kernel


@pytest.mark.parametrize(
    "attempt",
    [
        *("bpf", "init_module", "finit_module", "delete_module", "reboot", "kexec_load"),
        *("settimeofday", "syslog", "swapon", "acct", "perf_event_open"),
        *("open_by_handle_at", "mknod-disk", "mknod-kmsg", "write-sysctl", "ptrace-host"),
    ],
)
def test_without_a_filter_and_with_all_capabilities_the_host_is_still_safe(
    unfiltered: dict[str, str], attempt: str
) -> None:
    # EINVAL: no such thing in a pid namespace, ENOSYS: not in this kernel, ESRCH: no such process.
    assert unfiltered[attempt] in ("EPERM", "EACCES", "EINVAL", "ENOSYS", "ESRCH")


def test_what_a_privileged_container_may_do_stays_in_its_namespaces(
    unfiltered: dict[str, str],
) -> None:
    assert (unfiltered["mount"], unfiltered["unshare-user"]) == ("0", "0")


def test_it_can_type_nothing_into_the_users_terminal(attacks: Path) -> None:
    master, slave = pty.openpty()
    try:
        said = answers(attacks, slave)
    finally:
        os.close(master)
        os.close(slave)
    assert said["terminal-input"] in ("EPERM", "EIO")  # EIO: this kernel has it switched off
    assert said["terminal-steal"] in ("0", "EPERM")  # it was nobody's terminal


@pytest.fixture(scope="module")
def overwriting(layer: Path) -> Path:
    folder = layer / "overwriting"
    compiled("overwrite.c", folder / "lib64" / "ld-linux-x86-64.so.2")
    for made in (folder, folder / "lib64"):
        made.chmod(0o755)
    script = folder / "innocent"
    script.write_text("#!/proc/self/exe\n")
    script.chmod(0o755)
    return folder


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the loader's name is x86_64's")
@pytest.mark.parametrize("program", ["/proc/self/exe", "/innocent"])
def test_the_hosts_interpreter_cannot_be_overwritten(overwriting: Path, program: str) -> None:
    before = os.stat(sys.executable)
    told = run_with([overwriting], [program]).split()
    # The attack has got hold of a file of the host's: the wall that holds is the last one.
    assert told[-1] in ("EACCES", "EPERM", "EROFS", "ETXTBSY")
    assert os.stat(sys.executable).st_mtime_ns == before.st_mtime_ns


def test_it_cannot_start_in_a_folder_outside_its_root() -> None:
    """CVE-2024-21626: some descriptor of the runtime's leads to a folder of the host."""
    refused = []
    for fd in range(12):
        try:
            workdir = f"/proc/self/fd/{fd}"
            said = run_with([], ["sh", "-c", "pwd -P; ls ../../.."], workdir=workdir)
            assert "lab" in said.split(), "where it starts is in the image"
        except LabError as error:
            refused.append(str(error))
    assert any("CVE-2024-21626" in told for told in refused), refused


def test_a_folder_as_standard_input_is_refused() -> None:
    host = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(LabError, match="one of them is a folder"):
            run_with([], ["true"], host)
    finally:
        os.close(host)


@needs_root
def test_a_file_given_to_read_cannot_be_opened_again_for_writing(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_text("mine")
    with file.open() as stdin:
        said = run_with([], ["sh", "-c", "echo evil >/proc/self/fd/0"], stdin.fileno())
    assert "Permission denied" in said
    assert file.read_text() == "mine"


def test_nothing_but_what_was_given_leads_to_the_host() -> None:
    script = "for link in fd/0 fd/1 fd/2 root cwd; do readlink /proc/1/$link; done"
    said = run_with([], ["sh", "-c", script])
    null, out, err, root, cwd = said.split()
    assert null == "/dev/null"
    assert out == err and out.startswith("pipe:")
    assert (root, cwd) == ("/", "/")


@needs_root
@pytest.mark.parametrize("no_new_privileges", ["true", "false"])
def test_a_setuid_program_regains_nothing_unless_it_may(
    attacks: Path, no_new_privileges: str
) -> None:
    script = (
        "echo guest:x:7:7::/: >/etc/passwd; cp /attack /tmp; chmod 4755 /tmp/attack;"
        "su -s /bin/sh guest -c '/tmp/attack | head -1'"
    )
    option = f"no-new-privileges={no_new_privileges}"
    said = run_with([attacks], ["sh", "-c", script], security_opt=[option])
    assert said == {"true": "euid 7\n", "false": "euid 0\n"}[no_new_privileges]


@pytest.mark.parametrize("name", ["proc", "dev", "sys"])
def test_a_link_where_the_runtime_mounts_leads_nowhere(layer: Path, name: str) -> None:
    folder = layer / f"linked-{name}"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / name).symlink_to("/../../etc")
    with pytest.raises(LabError, match="has a link there that must not be followed"):
        run_with([folder], ["true"])
