"""What `./lab doctor` asks of the host: one function per question, each answered by trying.

Standard library only, so that it works before set-up; nothing is installed, built or left behind.
Host side; single-threaded, because user namespaces are tried in a forked child.
"""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench import accelerator as kvm
from bench import fio, guest_disk, guest_kernel, meminfo, scratch
from labrt import cgroups, paths, state, syscalls
from labrt.errors import LabError, errno_text
from labrt.images import store

State = Literal["ok", "limited", "missing"]

SETUP = "./lab setup"
GIB = 2**30
DISK_WANTED = 2 * GIB  # .venv 0.7 GiB, images, kernels, layers and results; measured
MEMORY_WANTED = 3 * GIB  # the density ramp leaves the host 2 GiB, and needs some to grow into


@dataclass(frozen=True)
class Finding:
    """One answer.

    Attributes:
        topic: what was asked, in two words.
        state: "ok"; "limited" = the main job runs, with less; "missing" = it can't run.
        found: what is there.
        remedy: what to do about it; empty if and only if nothing need be done.
    """

    topic: str
    state: State
    found: str
    remedy: str = ""


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    ours = Path(sys.prefix).name == ".venv"
    if ours:
        return Finding("Python", "ok", f"{version} in .venv")
    return Finding("Python", "missing", f"{version}, but no .venv yet", SETUP)


def root() -> Finding:
    if os.geteuid() == 0:
        return Finding("root", "ok", "running as root")
    found = f"running as uid {os.geteuid()}: containers without cgroup limits, one user id each"
    return Finding("root", "limited", found, "sudo ./lab …")


def user_namespaces() -> Finding:
    """Make one and use it: where it is restricted, often only the call after unshare fails."""
    failed = _in_child(_enter_user_namespace)
    if failed is None:
        return Finding("user namespaces", "ok", "made one, mounted in it")
    cause, remedy = _user_namespace_remedy(failed)
    found = f"{failed.filename}: {errno_text(failed)}{cause}"
    return Finding("user namespaces", "missing", found, remedy)


def cgroup_layout() -> Finding:
    found = cgroups.layout()
    controllers = ", ".join(
        f"{name} ({'v2' if name in found.v2 else 'v1'})"
        for name in cgroups.CONTROLLERS
        if name in found.controllers
    )
    told = f"{found.kind}: {controllers or 'no controllers'}"
    reason = cgroups.unavailable()
    if reason is None:
        return Finding("cgroups", "ok", told)
    why, _, remedy = reason.rpartition("; ")
    return Finding("cgroups", "limited", f"{told}; {why}: no limits", remedy)


def overlayfs() -> Finding:
    """Mount one where the containers' would lie, as a container's first process does."""
    place = _existing(paths.home())
    try:
        folder = Path(tempfile.mkdtemp(prefix=".lab-doctor-", dir=place))
    except OSError as error:
        remedy = "set LAB_HOME to a folder of your own"
        return Finding("overlayfs", "missing", f"{place}: {errno_text(error)}", remedy)
    try:
        for name in ("lower", "upper", "work", "merged"):
            (folder / name).mkdir()
        failed = _in_child(lambda: _mount_overlay(folder))
    finally:
        state.remove_tree(folder)  # overlayfs leaves a folder that is closed to its owner
    if failed is None:
        return Finding("overlayfs", "ok", f"mounted one in {place}")
    found = f"{failed.filename} in {place}: {errno_text(failed)}"
    remedy = "modprobe overlay; or set LAB_HOME to a folder on ext4, xfs or btrfs"
    if failed.filename != "mount overlay":
        remedy = "as for user namespaces"
    return Finding("overlayfs", "missing", found, remedy)


def accelerator() -> Finding:
    """Tell the verdict on KVM, if there is one: asking for it would boot a machine."""
    try:
        verdict = kvm.known()
    except LabError as error:
        return Finding("accelerator", "missing", error.answer, error.remedy)
    if verdict is None:
        return Finding("accelerator", "missing", "KVM has not been tried yet", SETUP)
    if verdict.accelerator == "kvm":
        return Finding("accelerator", "ok", f"KVM: {verdict.reason}")
    remedy = "none needed; for hardware speed use a machine (or nested VM) where KVM works"
    return Finding("accelerator", "limited", f"TCG: {verdict.reason}", remedy)


def dev_kvm() -> Finding:
    """Say whether it opens, and no more: that it opens doesn't prove that it works."""
    module = ", ".join(sorted(p.name for p in Path("/sys/module").glob("kvm_*"))) or "no kvm module"
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        remedy = "none needed; to have it, switch on virtualization in the firmware, modprobe kvm"
        return Finding("/dev/kvm", "limited", "absent: VMs are emulated", remedy)
    except PermissionError:
        remedy = "sudo usermod -aG kvm $USER, then log in again"
        return Finding("/dev/kvm", "limited", "this user may not open it", remedy)
    except OSError as error:
        return Finding("/dev/kvm", "limited", errno_text(error), "modprobe kvm")
    return Finding("/dev/kvm", "ok", f"opens ({module}); the accelerator line says if it works")


def qemu() -> Finding:
    path = shutil.which("qemu-system-x86_64")
    if path is None:
        return Finding("QEMU", "missing", "no qemu-system-x86_64", SETUP)
    told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10)
    return Finding("QEMU", "ok", told.stdout.partition("\n")[0].removeprefix("QEMU emulator "))


def libvirt_driver() -> Finding:
    """Look for the driver that qemu:///embed loads into the calling process."""
    name = "libvirt/connection-driver/libvirt_driver_qemu.so"
    places = [f"lib/*-linux-gnu/{name}", f"lib*/{name}"]  # Debian's, others'
    found = [file for place in places for file in Path("/usr").glob(place)]
    if found:
        return Finding("libvirt driver", "ok", str(found[0]))
    return Finding("libvirt driver", "missing", "no QEMU driver of libvirt", SETUP)


def libvirt_python() -> Finding:
    if importlib.util.find_spec("libvirt") is None:
        return Finding("libvirt-python", "missing", "not importable", SETUP)
    return Finding("libvirt-python", "ok", importlib.metadata.version("libvirt-python"))


def busybox() -> Finding:
    path = Path("/bin/busybox")
    if not path.exists():
        return Finding("busybox-static", "missing", f"no {path}", SETUP)
    listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True)
    if "not a dynamic executable" not in listed.stdout + listed.stderr:
        found, remedy = f"{path} is linked dynamically", "install busybox-static"
        return Finding("busybox-static", "missing", found, remedy)
    told = subprocess.run([path], capture_output=True, text=True).stdout.split(" (")[0]
    return Finding("busybox-static", "ok", told)


def kernel_of_guests() -> Finding:
    try:
        kernel = guest_kernel.find_kernel()
    except LabError as error:
        told = f"{error.tried}: {error.answer}"
        return Finding("guest kernel", "missing", told, error.remedy)
    if kernel.no_power_button:
        remedy = "use Debian's cloud kernel: unset LAB_KERNEL, ./lab setup"
        return Finding("guest kernel", "limited", kernel.no_power_button, remedy)
    if kernel.no_disk:
        return Finding("guest kernel", "limited", f"{kernel.no_disk}: images in RAM alone", SETUP)
    return Finding("guest kernel", "ok", kernel.release)


def guest_disks() -> Finding:
    """Look for the tool that turns an image into a guest's disk."""
    try:
        return Finding("guest disks", "ok", f"{guest_disk.TOOL} {guest_disk.version()}")
    except LabError as error:
        return Finding("guest disks", "limited", f"{error.answer}: images in RAM alone", SETUP)


def disk_work() -> Finding:
    """Look for what the experiment "disk" is done with, and what VMs' disks are formatted with."""
    if reason := fio.unavailable() or scratch.no_file_system():
        found, _, _ = reason.partition("; ")
        return Finding("disk work", "limited", f"{found}: no experiment disk", SETUP)
    told = subprocess.run([fio.program(), "--version"], capture_output=True, text=True)
    return Finding("disk work", "ok", told.stdout.strip())


def base_image() -> Finding:
    try:
        return Finding("base image", "ok", f"busybox {store.resolve('busybox').digest[:19]}…")
    except LabError as error:
        return Finding("base image", "missing", error.answer or str(error), SETUP)


def disk_room() -> Finding:
    free = scratch.free()
    told = f"{free / GIB:.1f} GiB free for {paths.home()}"
    if free >= DISK_WANTED:
        return Finding("disk room", "ok", told)
    remedy = f"free {(DISK_WANTED - free) / GIB:.1f} GiB, or set LAB_HOME to a larger disk"
    return Finding("disk room", "limited", told, remedy)


def memory() -> Finding:
    available = meminfo.available()
    told = f"{available / GIB:.1f} GiB available"
    if available >= MEMORY_WANTED:
        return Finding("memory", "ok", told)
    return Finding("memory", "limited", f"{told}: a short density ramp", "close other programs")


CHECKS: tuple[Callable[[], Finding], ...] = (
    python,
    root,
    user_namespaces,
    cgroup_layout,
    overlayfs,
    accelerator,
    dev_kvm,
    qemu,
    libvirt_driver,
    libvirt_python,
    busybox,
    kernel_of_guests,
    guest_disks,
    disk_work,
    base_image,
    disk_room,
    memory,
)


def _existing(path: Path) -> Path:
    """Return the nearest folder that exists, from `path` upwards."""
    return path if path.is_dir() else _existing(path.parent)


def _in_child(action: Callable[[], None]) -> OSError | None:
    """Do it in a forked child, which may spoil its own namespaces; return how it failed.

    The exception's `filename` names the call, as `_call` set it.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer(action, theirs)
    os.close(theirs)
    with os.fdopen(ours) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    if not text:
        return None
    number, call = json.loads(text)
    return OSError(number, os.strerror(number), call)


def _answer(action: Callable[[], None], pipe: int) -> None:
    """In the child: write nothing for success, [errno, call] for failure, and be gone."""
    try:
        action()
    except OSError as error:
        os.write(pipe, json.dumps([error.errno, error.filename or "child"]).encode())
    finally:
        os._exit(0)


def _call(name: str, action: Callable[[], object]) -> None:
    try:
        action()
    except OSError as error:
        error.filename = name
        raise


def _enter_user_namespace() -> None:
    """In the child: a user and a mount namespace, root inside, and a mount to prove it."""
    uid, gid = os.geteuid(), os.getegid()
    flags = syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS
    _call("unshare", lambda: syscalls.unshare(flags))
    _call("write setgroups", lambda: Path("/proc/self/setgroups").write_text("deny"))
    _call("write uid_map", lambda: Path("/proc/self/uid_map").write_text(f"0 {uid} 1"))
    _call("write gid_map", lambda: Path("/proc/self/gid_map").write_text(f"0 {gid} 1"))
    private = syscalls.MS_REC | syscalls.MS_PRIVATE
    _call("make mounts private", lambda: syscalls.mount(None, "/", None, private))
    _call("mount tmpfs", lambda: syscalls.mount("tmpfs", "/tmp", "tmpfs"))


def _mount_overlay(folder: Path) -> None:
    """In the child: an overlay in a user namespace, its options as in labrt/mounts.py."""
    os.chdir(folder)
    _enter_user_namespace()
    options = "lowerdir=lower,upperdir=upper,workdir=work,userxattr"
    _call("mount overlay", lambda: syscalls.mount("overlay", "merged", "overlay", 0, options))


def _user_namespace_remedy(error: OSError) -> tuple[str, str]:
    """Return the likely cause, with a leading blank, and the remedy."""
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            " (AppArmor restricts unprivileged user namespaces: Ubuntu 23.10 and later)",
            "run as root, or sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        )
    if _setting("kernel/unprivileged_userns_clone") == "0":
        return " (switched off)", "sudo sysctl -w kernel.unprivileged_userns_clone=1"
    if error.errno == errno.ENOSPC:
        return " (none allowed)", "sudo sysctl -w user.max_user_namespaces=15000"
    if _in_chroot():
        return " (inside a chroot the kernel makes none)", "run outside it, or enter by pivot_root"
    return " (in a container, seccomp may forbid it)", "run on the host itself, or in a VM"


def _in_chroot() -> bool:
    """Whether our root is another than process 1's, as far as we may look there."""
    try:
        return not Path("/").samefile("/proc/1/root")
    except OSError:
        return False


def _setting(name: str) -> str | None:
    try:
        return (Path("/proc/sys") / name).read_text().strip()
    except OSError:
        return None
