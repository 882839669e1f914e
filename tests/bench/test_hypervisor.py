"""bench/hypervisor.py: another libvirt than the lab's own, a daemon, by whatever way it is reached.

The daemon is real and the tests' own. What stands for ssh(1) is a program that hands the connection
on to the daemon's socket, as ssh and virt-ssh-helper do together.
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
from pathlib import Path

import pytest

from bench import hypervisor
from bench.hypervisor import Hypervisor
from bench.subjects.base import Workload
from bench.subjects.vm import Vm
from labrt.errors import LabError
from labrt.images import base

SECONDS = 60.0  # for the daemon to answer, and for a boot on a busy host

CONFIGURATION = """\
unix_sock_dir = "{0}"
auth_unix_rw = "none"
auth_unix_ro = "none"
"""

# What a daemon writes, and its settings, are in a mount namespace of its own.
APART = """
hostname "$2"
mkdir -p /run/libvirt "$1/mounts"
mount -t tmpfs tmpfs /run/libvirt
mount -t tmpfs tmpfs "$1/mounts"
for place in /etc /var/lib /var/cache; do
    own=$1/mounts/$(basename "$place")
    mkdir "$own" "$own-work"
    mount -t overlay -o "lowerdir=$place,upperdir=$own,workdir=$own-work" overlay "$place"
done
mkdir -p /etc/libvirt
cp "$1/qemu.conf" /etc/libvirt
exec libvirtd --config "$1/libvirtd.conf" --pid-file "$1/pid"
"""

RELAY = """\
#!{python} -IS
import os, socket, threading
daemon = socket.socket(socket.AF_UNIX)
daemon.connect("{socket}")
def out():
    while data := daemon.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=out).start()
while data := os.read(0, 65536):
    daemon.sendall(data)
os._exit(0)
"""

needs_libvirtd = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("libvirtd") is None,
    reason="needs root and libvirtd; apt-get install libvirt-daemon",
)


@contextmanager
def daemon(hostname: str | None = None) -> Iterator[str]:
    """Run libvirtd, on a host of another name if one is given; give a URI as for a remote one."""
    with tempfile.TemporaryDirectory(prefix="lab-libvirt-") as name:
        folder = Path(name)
        socket, relay = folder / "libvirt-sock", folder / "ssh"
        (folder / "libvirtd.conf").write_text(CONFIGURATION.format(folder))
        (folder / "qemu.conf").write_text(hypervisor.QEMU_CONF)
        relay.write_text(RELAY.format(python=sys.executable, socket=socket))
        relay.chmod(0o755)
        command = ["unshare", "--mount", "--uts", "sh", "-ec", APART, "sh"]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [*command, folder, hostname or os.uname().nodename], stdout=log, stderr=log
            )
        try:
            deadline = time.monotonic() + SECONDS
            while not socket.exists():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "libvirtd doesn't answer"
                time.sleep(0.05)
            yield f"qemu+ssh://localhost/system?command={relay}&proxy=netcat&socket={socket}"
        finally:
            process.terminate()
            process.wait(SECONDS)


@needs_libvirtd
@pytest.mark.timeout(180)
def test_a_libvirt_whose_vms_run_on_another_host_is_refused_by_that_host_s_name() -> None:
    with (
        daemon("elsewhere") as uri,
        pytest.raises(LabError, match="its VMs run on elsewhere") as it,
    ):
        Hypervisor(uri)
    assert str(it.value).endswith("run ./lab bench on elsewhere, or leave --connect out")


@needs_libvirtd
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_vm_runs_by_way_of_a_remote_uri_that_leads_to_this_host() -> None:
    image = base.ensure("busybox")
    workload = Workload(image.name, image.digest)
    with daemon() as uri, Vm(uri) as subject:
        assert subject.conditions()["connection"] == uri
        subject.prepare(workload)
        with subject.start(workload, "lab-vm-remote") as instance:
            instance.wait_ready(SECONDS)
            (pid,) = instance.pids()
            instance.stop(SECONDS)
        assert not Path(f"/proc/{pid}").exists()


def test_a_host_that_ssh_does_not_reach_is_told_with_what_to_try() -> None:
    with pytest.raises(LabError, match=r"ssh doesn't get there.*try ssh nowhere"):
        Hypervisor("qemu+ssh://nowhere/system?command=/bin/false")


def test_this_host_is_known_by_the_name_that_libvirt_writes() -> None:
    libvirt = pytest.importorskip("libvirt")
    hypervisor._check_here("qemu+ssh://me/system", libvirt.open("test:///default").getHostname())
