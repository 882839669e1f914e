"""`./lab machine`: the lab machine in QEMU, without Vagrant and without libvirt.

    python -m vagrant.machine up                start it; the first time from boxes/lab.qcow2
    python -m vagrant.machine ssh [COMMAND…]    a shell, or a command, in it
    python -m vagrant.machine down [--destroy]  switch it off; --destroy: with all that is on it

    LAB_HOME/machine/
        base.qcow2   the box's disk (a hard link where it can be one: a new box doesn't change it)
        disk.qcow2   what differs from it
        key          the SSH key that gets in, made here; the machine is told of it by a systemd
                     credential (systemd.exec(5), SMBIOS type 11), so the well-known one never works
        ports.json, pid, qmp, console.log   of the running machine

Its network is QEMU's own; on this computer it listens on 127.0.0.1 alone. Host side.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bench import accelerator, qemu
from labrt import paths
from labrt.errors import LabError, errno_text
from vagrant import settings
from vagrant.box import inputs

BOX = inputs.PROJECT / "boxes"
NAME = "vm-container-lab"
BOOT_SECONDS = 600.0  # to the first answer of its sshd, on a busy host under emulation
DOWN_SECONDS = 120.0
QMP_SECONDS = 10.0
ROOM = 2 << 30  # bytes that its disk may come to need in a lesson or two
# The plainest that numpy's and pyarrow's wheels run on (x86-64-v2); KVM: the host's own.
CPU = {"tcg": "Nehalem", "kvm": "host"}


def up() -> None:
    """Start the machine, bring the project in it up to date, tell JupyterLab's address.

    Raises:
        LabError: no box, a bad setting, or it doesn't start.
    """
    memory, cpus, wanted = settings.memory(), settings.cpus(), settings.port()
    folder = place()
    if _pid() is None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _prepare(folder)
        ports = {"ssh": _free_port(2222), "jupyter": _free_port(wanted)}
        (folder / "ports.json").write_text(json.dumps(ports))
        _start(folder, memory, cpus, ports)
        _say("waiting for it to boot")
    ports = json.loads((folder / "ports.json").read_text())
    _wait_for_ssh(ports["ssh"])
    _update()
    token = _ssh("lab-token", capture=True).strip()
    if ports["jupyter"] != wanted:
        _say(f"port {wanted} is taken on this computer")
    _say(f"JupyterLab is at http://127.0.0.1:{ports['jupyter']}/lab?token={token}")


def ssh_command() -> list[str]:
    """Return the ssh(1) command that leads into the running machine.

    Raises:
        LabError: it doesn't run.
    """
    if _pid() is None:
        raise LabError("reach the machine", "it doesn't run", remedy="./lab machine up")
    folder = place()
    ports = json.loads((folder / "ports.json").read_text())
    options = {
        "IdentityFile": folder / "key",
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": folder / "known_hosts",
        "StrictHostKeyChecking": "accept-new",
        "LogLevel": "ERROR",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-p", str(ports["ssh"]), *words, "vagrant@127.0.0.1"]


def place() -> Path:
    """Return where the machine's disk and the rest of it are."""
    return paths.home() / "machine"


def running() -> bool:
    """Whether the machine runs."""
    return _pid() is not None


def down(destroy: bool) -> None:
    """Switch the machine off by its power button; kill it if it takes too long.

    Args:
        destroy: remove its disk, and with it all that was made on it.

    Raises:
        LabError: QEMU doesn't end.
    """
    folder = place()
    if (pid := _pid()) is not None:
        pidfd = os.pidfd_open(pid)
        try:
            if not (_press_power_button(folder / "qmp") and _ended(pidfd, DOWN_SECONDS)):
                _say("it doesn't switch off, so it is killed")
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                if not _ended(pidfd, 5.0):
                    raise LabError(f"end QEMU (pid {pid})", "it still runs after SIGKILL")
        finally:
            os.close(pidfd)
    for name in ("pid", "qmp", "ports.json"):
        (folder / name).unlink(missing_ok=True)
    if destroy and folder.exists():
        shutil.rmtree(folder)


def _prepare(folder: Path) -> None:
    """Make disk and key, where they aren't there yet."""
    if not (folder / "disk.qcow2").exists():
        _make_disk(folder)
    elif _made_of(folder) != _box_sum():
        _say("the machine is of another box than boxes/ has; to change: ./lab export, then")
        _say("    ./lab machine down --destroy; ./lab machine up")
    if changed := inputs.outdated(BOX) if (BOX / inputs.FACTS).exists() else []:
        _say(f"the box is of another version of the project ({changed[0]}). Remedy: sudo ./lab box")
    if not (folder / "key").exists():
        comment = ("-C", NAME, "-f", str(folder / "key"))
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", *comment], "make a key")


def _make_disk(folder: Path) -> None:
    box, base, new = BOX / "lab.qcow2", folder / "base.qcow2", folder / "new.qcow2"
    if not box.exists():
        remedy = "sudo ./lab box, or put the folder boxes/ of somebody who has built it here"
        raise LabError("start the machine", f"no {box}", remedy=remedy)
    for left in (base, new):
        left.unlink(missing_ok=True)
    try:
        os.link(box, base)
    except OSError:  # on another disk
        _check_room(folder, ROOM + box.stat().st_size)
        shutil.copyfile(box, base)
    _check_room(folder, ROOM)
    (folder / "made-of").write_text(_box_sum())
    _run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(new)],
        "make the machine's disk",
    )
    new.rename(folder / "disk.qcow2")


def _check_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted:
        told = f"{free / 1e9:.1f} GB free in {folder}, {wanted / 1e9:.1f} are needed"
        remedy = "free some, or set LAB_HOME to a folder on another disk"
        raise LabError("make the machine's disk", told, remedy=remedy)


def _box_sum() -> str:
    try:
        facts = json.loads((BOX / inputs.FACTS).read_text())
        return str(facts["files"]["lab.qcow2"]["sha256"])
    except (OSError, ValueError, KeyError):
        return ""


def _made_of(folder: Path) -> str:
    return (folder / "made-of").read_text()


def _start(folder: Path, memory: int, cpus: int, ports: dict[str, int]) -> None:
    how = _accelerator()
    key = (folder / "key.pub").read_text().strip()
    # tmpfiles.d(5), "f+": whatever keys the box had, now it has this one.
    line = f"f+ /home/vagrant/.ssh/authorized_keys 600 vagrant vagrant - {key}\n"
    credential = base64.b64encode(line.encode()).decode()
    forwarded = f"hostfwd=tcp:127.0.0.1:{ports['ssh']}-:22"
    forwarded += f",hostfwd=tcp:127.0.0.1:{ports['jupyter']}-:8888"
    command = [qemu.binary(), "-name", NAME, "-machine", "q35", "-accel", how, "-cpu", CPU[how]]
    command += ["-m", str(memory), "-smp", str(cpus), "-display", "none"]
    command += ["-drive", f"file={folder}/disk.qcow2,if=virtio,discard=unmap"]
    command += ["-nic", f"user,model=virtio-net-pci,{forwarded}", "-device", "virtio-rng-pci"]
    command += [
        "-smbios",
        f"type=11,value=io.systemd.credential.binary:tmpfiles.extra={credential}",
    ]
    command += [
        "-serial",
        f"file:{folder}/console.log",
        "-qmp",
        f"unix:{folder}/qmp,server,wait=off",
    ]
    _run([*command, "-daemonize", "-pidfile", str(folder / "pid")], "start the machine")


def _accelerator() -> str:
    found = accelerator.known()
    if found is None:
        _say("KVM has not been tried here yet (./lab setup does), so the machine is emulated")
        return "tcg"
    return found.accelerator


def _pid() -> int | None:
    """Return the running QEMU's pid: the one in the file, if it is still ours (proc(5))."""
    folder = place()
    try:
        pid = int((folder / "pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if f"{folder}/disk.qcow2" in words else None


def _free_port(wanted: int) -> int:
    for port in range(wanted, wanted + 50):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise LabError("find a port", f"{wanted} to {wanted + 49} are all taken", remedy="set LAB_PORT")


def _wait_for_ssh(port: int) -> None:
    """QEMU accepts at once whoever connects; sshd's greeting comes when the machine is up."""
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as tried:
                if tried.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        if _pid() is None:
            break
        time.sleep(0.2)
    why = "QEMU has ended" if _pid() is None else f"no answer within {BOOT_SECONDS:.0f} s"
    remedy = f"read {place()}/console.log; ./lab machine up waits once more"
    raise LabError("start the machine", why, remedy=remedy)


def _update() -> None:
    """Bring the project in the machine up to date, as the Vagrantfile does; set up what is new."""
    if shutil.which("rsync"):
        *ssh, target = ssh_command()
        command = ["rsync", "--archive", "--delete", "--chown=root:root", "--rsync-path=sudo rsync"]
        command += [f"--exclude-from={inputs.PROJECT}/vagrant/not-synced", "-e", " ".join(ssh)]
        _run([*command, f"{inputs.PROJECT}/", f"{target}:/opt/lab/"], "copy the project")
    else:
        _say("no rsync here: the machine keeps the project as it was when its box was built")
    _ssh("sudo /opt/lab/vagrant/provision.sh")


def _ssh(command: str, capture: bool = False) -> str:
    words = [*ssh_command(), command]
    done = subprocess.run(words, stdout=subprocess.PIPE if capture else None, text=True)
    if done.returncode != 0:
        raise LabError(f"run {command} in the machine", f"it ended with {done.returncode}")
    return done.stdout or ""


def _press_power_button(path: Path) -> bool:
    """Speak QMP (https://www.qemu.org/docs/master/interop/qmp-spec.html): two commands. False if
    QEMU doesn't answer."""
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(QMP_SECONDS)
            control.connect(str(path))
            answers = control.makefile()
            answers.readline()  # the greeting
            for command in ("qmp_capabilities", "system_powerdown"):
                control.sendall(json.dumps({"execute": command}).encode())
                answers.readline()
    except OSError:
        return False
    return True


def _ended(pidfd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _run(command: list[str], tried: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise LabError(tried, f"no {command[0]}", remedy=f"install {command[0]}") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"{command[0]} ended with {done.returncode}"]
        raise LabError(tried, said[-1])


def _say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """argparse, but an error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. Remedy: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; return the exit status."""
    parser = Parser(prog="lab machine", description="The lab machine in QEMU, without Vagrant.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="up|ssh|down")
    verbs.add_parser("up", help="start it")
    verbs.add_parser("ssh", help="a shell, or a command, in it").add_argument(
        "command", nargs=argparse.REMAINDER
    )
    verbs.add_parser("down", help="switch it off").add_argument(
        "--destroy", action="store_true", help="remove its disk, with all that was made on it"
    )
    options = parser.parse_args(arguments)
    try:
        if options.verb == "ssh":
            words = [*ssh_command(), *options.command]
            os.execvp(words[0], words)
        if options.verb == "up":
            up()
        else:
            down(options.destroy)
    except LabError as error:
        _say(str(error))
        return 1
    except OSError as error:
        _say(f"{error.filename or 'machine'}: {errno_text(error)}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted" + ("; it runs on. Remedy: ./lab machine down" if running() else ""))
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
