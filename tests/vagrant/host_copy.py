"""A copy of this host, made by overlayfs, for what changes a whole system: users, units, packages'
files. It is provisioned as the lab machine is, and can be booted: systemd is its process 1.

The project is in /opt/lab, as in the machine; its .venv is the one of these tests. All of it is in
memory and in namespaces, and gone with them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labrt import cgroup_folders, cgroups, paths

ROOT = Path(__file__).parent.parent.parent
BOOT_SECONDS = 120.0
SECONDS = 900.0

MAKE = """
mount -t tmpfs tmpfs "$1"
mkdir "$1"/{root,written,work,venv,venv-work}
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/written,workdir=$1/work" "$1/root"
mkdir -p "$1/root/opt/lab/.venv" "$1/root/root/.local/share"
venv="lowerdir=$3,upperdir=$1/venv,workdir=$1/venv-work"
mount -t overlay overlay -o "$venv" "$1/root/opt/lab/.venv"
mount -t tmpfs tmpfs "$1/root/root/.local/share"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
rsync --archive --chown=root:root --exclude-from="$2/vagrant/not-synced" "$2/" "$1/root/opt/lab/"
touch "$1/ready"
exec sleep infinity
"""

# So that the set-up finds .venv made of what it is made of, at the place where it is now.
STAMP = """
root=/opt/lab
source $root/setup/stage.sh
source $root/setup/python.sh
rm -f $root/.venv/made-*
venv_inputs >$root/.venv/made-from
extra_inputs hub >$root/.venv/made-for-hub
"""

# It has no hardware, and nothing of the host's is its business.
BOOT = """
cd "$0"
umount --lazy dev
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/{pts,shm,net}
for each in null zero full random urandom tty fuse net/tun; do
    cp --archive /dev/$each dev/$each
done
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs mnt # where containers are: no overlay, on which there can be none
cp --archive home/. mnt
mount --move mnt home
ip link set lo up
pivot_root . mnt # not chroot(2), where no user namespace can be made
umount --lazy mnt
exec env -i container=lab-copy PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --unit=basic.target
"""


@dataclass(frozen=True)
class Copy:
    """The copy.

    Attributes:
        pid: of a process in its namespaces.
        root: where its files are, in its mount namespace, as `pid` sees them.
        written: where what was written is, likewise.
    """

    pid: int
    root: Path
    written: Path

    def run(self, command: str) -> str:
        """Run by bash, as its root; return what it tells."""
        inside = [f"--{name}" for name in ("mount", "pid", "net", "uts", "ipc", "cgroup")]
        done = subprocess.run(
            ["nsenter", f"--target={self.pid}", "--root", *inside, "--"]
            + ["chroot", str(self.root), "bash", "-euo", "pipefail", "-c", command],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def seen(self, path: Path) -> Path:
        """Return where a path of its mount namespace is seen from outside."""
        return Path(f"/proc/{self.pid}/root{path}")

    def provision(self) -> list[str]:
        """Provision it while nothing runs in it; return what is said."""
        said = self.run("/opt/lab/vagrant/provision.sh --building").splitlines()
        return [line for line in said if line.startswith("lab: ")]


@contextmanager
def copied() -> Iterator[Copy]:
    """Make a copy for the time of the block."""
    folder = Path(tempfile.mkdtemp(prefix="lab-copy-"))
    command = ["unshare", "--mount", "bash", "-euc", MAKE, "make", folder, ROOT, sys.prefix]
    process = subprocess.Popen(command)
    try:
        copy = Copy(process.pid, folder / "root", folder / "written")
        while not copy.seen(folder / "ready").exists():
            assert process.poll() is None
            time.sleep(0.01)
        home = copy.seen(copy.root) / "root/.local/share/vm-container-lab"
        shutil.copytree(paths.home() / "kernels/cloud", home / "kernels/cloud")
        copy.run(STAMP)
        yield copy
    finally:
        process.kill()
        process.wait()
        folder.rmdir()


@contextmanager
def booted(copy: Copy) -> Iterator[Copy]:
    """Boot it: systemd in a pid namespace, with cgroup v2 below a cgroup of the lab's. On a host
    with v1, too, there are no controllers, so that it limits nothing."""
    copy.run("systemctl --quiet mask systemd-udevd.service docker.socket libvirtd.socket")
    unified = cgroups.layout().unified
    assert unified is not None, "no cgroup v2 here, on which systemd insists"
    group = unified / cgroups.top() / f"lab-copy-{os.getpid()}"
    group.mkdir(parents=True)
    apart = [f"--{name}" for name in ("pid", "fork", "kill-child", "net", "uts", "ipc", "cgroup")]
    inside = ["nsenter", f"--target={copy.pid}", "--mount", "--", "unshare", "--mount", *apart]
    join = f'echo 0 >{group}/cgroup.procs; exec "$@"'
    process = subprocess.Popen(
        ["sh", "-ec", join, "join", *inside, "bash", "-euc", BOOT, copy.root],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _up(process, copy)
    finally:
        process.kill()  # with it goes systemd, and with that all in its pid namespace
        process.wait()
        for folder in cgroup_folders.tree(group):
            cgroup_folders.remove(folder, patience=BOOT_SECONDS)


def _up(process: subprocess.Popen[bytes], copy: Copy) -> Copy:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None
        for pid in children.read_text().split():
            if Path(f"/proc/{pid}/root/run/dbus/system_bus_socket").exists():
                running = Copy(int(pid), Path("/"), copy.written)
                running.run("systemctl start basic.target systemd-user-sessions.service")
                return running
        time.sleep(0.05)
    raise AssertionError("systemd doesn't come up")
