"""vagrant/provision.sh, run again and again in a root file system: a copy of this host, made by
overlayfs, that is gone afterwards. Nothing runs in it yet, as when a box is built (--building).

What the copy doesn't do is pip's work: its .venv is the one of these tests. All of it, with systemd
running, is done in the lab machine (test_vagrant_up.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from labrt import paths

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as provisioning does")

# In a mount namespace of its own, so that nothing stays mounted. tmpfs holds what is written.
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
rm -f $root/.venv/made-from
venv_inputs >$root/.venv/made-from
"""

# Each file and folder that was written, with all that tells a change: not the time of chmod(2).
LIST = "find /mnt -xdev -printf '%P %y %m %U %G %s %T@ %l\\n' | sort"


@dataclass(frozen=True)
class Copy:
    """The copy of this host, in the mount namespace of process `pid`."""

    pid: int
    folder: Path

    def run(self, command: str, root: str = "root") -> str:
        """Run by bash in it, or in another folder beside it; return what it tells."""
        place = ["nsenter", f"--target={self.pid}", "--mount", f"--root=/proc/{self.pid}/root"]
        done = subprocess.run(
            [*place, "chroot", self.folder / root, "bash", "-euo", "pipefail", "-c", command],
            env={"PATH": os.environ["PATH"], "HOME": "/root", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def provision(self) -> list[str]:
        """Provision; return what it says."""
        said = self.run("/opt/lab/vagrant/provision.sh --building").splitlines()
        return [line for line in said if line.startswith("lab: ")]

    def written(self) -> list[str]:
        """Return all that was written so far, a line each."""
        command = f"mount --bind {self.folder}/written /mnt && {LIST}"
        place = ["nsenter", f"--target={self.pid}", "--mount", "unshare", "--mount", "sh", "-c"]
        done = subprocess.run([*place, command], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    folder = tmp_path_factory.mktemp("copy")
    command = ["unshare", "--mount", "bash", "-euc", MAKE, "make", folder, ROOT, sys.prefix]
    process = subprocess.Popen(command)
    copy = Copy(process.pid, folder)
    try:
        seen = Path(f"/proc/{process.pid}/root{folder}")
        while not (seen / "ready").exists():
            assert process.poll() is None
        home = seen / "root/root/.local/share/vm-container-lab"
        shutil.copytree(paths.home() / "kernels/cloud", home / "kernels/cloud")
        copy.run(STAMP)
        yield copy
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def first(copy: Copy) -> list[str]:
    """What the first run has said."""
    return copy.provision()


def test_the_first_run_makes_the_lab_machine(first: list[str]) -> None:
    assert "lab: made the user student" in first
    assert "lab: wrote /etc/systemd/user/lab-jupyter.service" in first
    assert "lab: gave student a LAB_HOME" in first
    assert "lab: switched on lab-door.socket" in first


def test_the_second_run_changes_nothing(copy: Copy, first: list[str]) -> None:
    before = copy.written()
    assert any("home/student/work" in line for line in before)
    said = ["lab: everything is set up, nothing to do", "lab: nothing to change"]
    assert copy.provision() == said
    assert copy.written() == before


def test_what_was_changed_by_hand_is_mended_and_nothing_else(copy: Copy, first: list[str]) -> None:
    unit = "/etc/systemd/user/lab-jupyter.service"
    copy.run(f"echo '# mine' >>{unit}")
    assert f"lab: wrote {unit}" in copy.provision()
    assert copy.provision()[-1] == "lab: nothing to change"


def test_what_the_student_made_is_not_touched(copy: Copy, first: list[str]) -> None:
    copy.run("echo mine >/home/student/work/02_uts.ipynb")
    copy.provision()
    assert copy.run("cat /home/student/work/02_uts.ipynb") == "mine\n"
