"""A libvirt connection, and what its virtual machines need on this host.

By default libvirt's QEMU driver runs inside this process (qemu:///embed?root=FOLDER): no daemon,
and nothing outside FOLDER. libvirt allows one such folder in a process's life, so it is this
process's own, made on first use and removed when the process ends. Its lock (flock(2)) tells others
that the owner lives; `bench.leftover_vms` removes those whose owner doesn't.

    FOLDER/lock           held by the process that it belongs to
    FOLDER/etc/qemu.conf  libvirt's settings
    FOLDER/boot/          kernels and initramfs files, readable for the user whom QEMU runs as
    FOLDER/instances/     a folder for each running VM, with its sockets

FOLDER may be in RAM, so the images' disks, where QEMU's user can't read them in LAB_HOME, are in a
folder of /var/tmp.

Host side. libvirt reports a VM's life through its event loop, which runs in a thread of ours, so
times are stamped as the events arrive.

https://libvirt.org/drvqemu.html#embedded-driver
"""

from __future__ import annotations

import atexit
import os
import pwd
import re
import shutil
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import scratch
from bench.guest import Guest
from bench.leftover_vms import LARGE, disks_prefix
from bench.subjects.base import InstanceFailed
from labrt import paths
from labrt.errors import LabError
from labrt.state import remove_tree, try_lock

EMBED = "qemu:///embed"
PREFIX = "vm-"
QEMU_USERS = {"libvirt-qemu", "qemu"}  # Debian's, Fedora's: whom root's libvirt runs QEMU as

# cgroup_controllers: the lab makes its own cgroups. namespaces: libvirt's private /dev for QEMU is
# one more cost and clashes with a hidden /dev/kvm. stdio_handler: no virtlogd here.
# security_driver: the profiles of AppArmor and SELinux know only the system's libvirt.
# dynamic_ownership: files get their owner from us; libvirt changes none.
# capability_filters: with "cpu-unavailable-features" libvirt asks QEMU about the CPU's features one
# by one, some 270 questions that QEMU reads byte by byte: 0.18 s of each start. Without, in two.
QEMU_CONF = """\
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
capability_filters = [ "cpu-unavailable-features" ]
"""


class Domain:
    """One libvirt domain and what its life-cycle events have told so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.handle: Any = None  # libvirt.virDomain, once created
        self.resumed: int | None = None
        self.stopped: int | None = None
        self._changed = threading.Condition()

    def on_event(self, event: int, now: int) -> None:
        """Called by the event thread."""
        import libvirt

        with self._changed:
            if event == libvirt.VIR_DOMAIN_EVENT_RESUMED and self.resumed is None:
                self.resumed = now
            elif event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
                self.stopped = now
            self._changed.notify_all()

    def wait_resumed(self, timeout: float) -> int:
        """Return when its first instruction could run (CLOCK_MONOTONIC, nanoseconds).

        Raises:
            InstanceFailed: libvirt didn't tell in time.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.resumed or self.stopped, timeout)
            if self.resumed:
                return self.resumed
        raise InstanceFailed(f"libvirt told of no start within {timeout:g} s")

    def press_power_button(self) -> None:
        """Ask the guest to switch itself off (ACPI)."""
        import libvirt

        try:
            self.handle.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
        except libvirt.libvirtError as error:
            raise InstanceFailed(f"press the power button: {_first_line(error)}") from error

    def wait_stopped(self, timeout: float) -> None:
        """Wait until QEMU is gone.

        Raises:
            InstanceFailed: it was still there after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.stopped, timeout):
                raise InstanceFailed(f"the VM was still there {timeout:g} s later")

    def destroy(self) -> None:
        """End it by force; content to find it gone.

        Raises:
            InstanceFailed: libvirt could not.
        """
        import libvirt

        if self.handle is None or self.stopped:
            return
        try:
            self.handle.destroy()
        except libvirt.libvirtError as error:
            gone = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID)
            if error.get_error_code() not in gone:
                raise InstanceFailed(f"end the VM {self.name}: {_first_line(error)}") from error
        # QEMU is gone when destroy returns; the event that tells so may still be on its way.
        self.on_event(libvirt.VIR_DOMAIN_EVENT_STOPPED, time.monotonic_ns())


class Hypervisor:
    """An open connection. A context manager.

    Args:
        uri: a libvirt URI; None for the driver inside this process. However it is reached
            (qemu+ssh://, qemu+tls://, …), its VMs must run on this host.

    Attributes:
        owner: uid and gid that QEMU runs as.

    Raises:
        LabError: libvirt isn't installed or refuses; or its VMs run on another host.
    """

    def __init__(self, uri: str | None = None) -> None:
        libvirt = library()
        self.uri = uri or EMBED
        self.embedded = self.uri == EMBED
        self._disks: Path | None = None
        self.folder = _embed_folder() if self.embedded else _private_folder(self.uri)
        self._domains: dict[str, Domain] = {}
        if self.embedded:
            os.umask(0o022)  # a daemon's: libvirt makes folders that QEMU's user passes through
        _run_event_loop()
        try:
            self._connection = libvirt.open(f"{EMBED}?root={self.folder}" if self.embedded else uri)
        except libvirt.libvirtError as error:
            self._remove_private_folder()
            raise _cannot_connect(self.uri, error) from error
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        import libvirt

        if self._connection.getType() != "QEMU":
            raise LabError(
                f"use {self.uri}",
                f"its VMs are {self._connection.getType()}, not QEMU",
                remedy="leave --connect out, or name a qemu:/// URI",
            )
        if not self.embedded:
            _check_here(self.uri, self._connection.getHostname())
        # Asking what QEMU can do also has libvirt probe it now, not in the first timed start.
        self.owner = _qemu_user(self._connection.getCapabilities())
        self._connection.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_event, None
        )

    def stage(self, guest: Guest) -> Guest:
        """Return the guest with its files at paths that QEMU's user can read; made on first use."""
        boot = self.folder / "boot"
        boot.mkdir(mode=0o711, exist_ok=True)
        kernel = self._copy(guest.kernel.path, boot / guest.kernel.release)
        return replace(
            guest,
            kernel=replace(guest.kernel, path=kernel),
            initramfs=self._copy(guest.initramfs, boot / guest.initramfs.name),
            disk=guest.disk and self._stage_disk(guest.disk),
            boot_disk=guest.boot_disk and self._stage_disk(guest.boot_disk),
        )

    def _stage_disk(self, disk: Path) -> Path:
        """Return the disk at a path that QEMU's user can read: a hard link, or else a copy."""
        if self.owner[0] == os.geteuid():
            return disk
        target = self._disks_folder() / disk.name
        try:
            os.link(disk, target)  # its mode lets everybody read it who gets there
        except FileExistsError:
            pass
        except OSError:  # EXDEV: another file system
            self._copy(disk, target)
        return target

    def _disks_folder(self) -> Path:
        """Return a folder for disks that QEMU's user can get to; made on first use."""
        if self._disks is None:
            self._disks = _make_folder(LARGE, disks_prefix())
        return self._disks

    def scratches(self) -> Path:
        """Return a folder for disks that QEMU's user writes to, on the disk of LAB_HOME.

        Raises:
            LabError: there is none such.
        """
        if self.owner[0] == os.geteuid():
            paths.make_passable(scratch.home())
            return scratch.home()
        folder = self._disks_folder()
        if folder.stat().st_dev != paths.home().stat().st_dev:
            raise LabError(
                f"give a VM of {self.uri} a disk to write to",
                f"QEMU runs as uid {self.owner[0]}, who can't get to {paths.home()}",
                f"{LARGE} is on another file system, so its disk would be another than the others'",
                f"set LAB_HOME to a folder on the file system of {LARGE}",
            )
        return folder

    def _copy(self, source: Path, target: Path) -> Path:
        if not target.exists():
            aside = target.with_name(f".new-{target.name}")
            shutil.copyfile(source, aside)
            self._give(aside, 0o400)
            os.replace(aside, target)
        return target

    def make_folder(self, name: str) -> Path:
        """Make the folder of one instance; only those who know its name can pass through it.

        Raises:
            InstanceFailed: there is an instance of this name.
        """
        folder = self.folder / "instances" / name
        folder.parent.mkdir(mode=0o711, exist_ok=True)
        try:
            folder.mkdir(mode=0o711)
        except FileExistsError:
            raise InstanceFailed(f"a VM named {name} is there already") from None
        return folder

    def create(self, name: str, xml: str) -> Domain:
        """Start a domain (virDomainCreateXML); it runs when this returns.

        Raises:
            InstanceFailed: libvirt's answer.
        """
        import libvirt

        domain = self._domains[name] = Domain(name)
        # A libvirt that outlives us (a daemon) is told to end the domain when we are gone.
        flags = 0 if self.embedded else libvirt.VIR_DOMAIN_START_AUTODESTROY
        try:
            domain.handle = self._connection.createXML(xml, flags)
        except libvirt.libvirtError as error:
            del self._domains[name]
            raise InstanceFailed(f"libvirt can't start the VM: {_first_line(error)}") from error
        return domain

    def forget(self, domain: Domain) -> None:
        """Stop keeping track of a domain that has ended."""
        self._domains.pop(domain.name, None)

    def native_arguments(self, xml: str) -> str:
        """Return the QEMU command line that libvirt makes of a domain, as shell text.

        Raises:
            LabError: libvirt refuses.
        """
        import libvirt

        try:
            text: str = self._connection.domainXMLToNative("qemu-argv", xml, 0)
        except libvirt.libvirtError as error:
            raise LabError("ask libvirt for QEMU's arguments", _first_line(error)) from error
        return text

    def close(self) -> None:
        """Close the connection; may be called any number of times."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._remove_private_folder()
            if self._disks is not None:
                remove_tree(self._disks)

    def _give(self, path: Path, mode: int) -> None:
        """Let QEMU's user read a file of ours."""
        if self.owner[0] == os.geteuid() or os.geteuid() == 0:
            os.chmod(path, mode)
            os.chown(path, *self.owner)
        else:
            os.chmod(path, 0o444)

    def _remove_private_folder(self) -> None:
        if not self.embedded:
            remove_tree(self.folder)

    def _on_event(self, connection: Any, handle: Any, event: int, detail: int, extra: Any) -> None:
        now = time.monotonic_ns()
        if domain := self._domains.get(handle.name()):
            domain.on_event(event, now)

    def __enter__(self) -> Hypervisor:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def no_libvirt() -> str | None:
    """Return why libvirt can't be used here at all, with the remedy, or None if it can."""
    try:
        library()
    except LabError as error:
        return str(error)
    users = {user.pw_name for user in pwd.getpwall()}
    if os.geteuid() == 0 and not users & QEMU_USERS:
        return "no user libvirt-qemu for QEMU to run as; run ./lab setup"
    return None


def library() -> Any:
    """Import libvirt, its own log switched off: whatever matters is raised as an error."""
    os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null")
    try:
        import libvirt
    except ImportError as error:
        raise LabError(
            "use libvirt", f"{error}", "its Python library isn't installed", "run ./lab setup"
        ) from error
    return libvirt


def _check_here(uri: str, there: str) -> None:
    """Refuse a libvirt whose VMs run on another host, `there`, however it is reached.

    Raises:
        LabError: they do.
    """
    import libvirt

    here = libvirt.open("test:///default").getHostname()  # as libvirt itself writes it
    if there == here:
        return
    raise LabError(
        f"use {uri}",
        f"its VMs run on {there}, and this host is {here}",
        "a guest's kernel and its serial ports are files and sockets of this host, "
        "and what a VM takes is read in this host's /proc",
        f"run ./lab bench on {there}, or leave --connect out",
    )


def _embed_folder() -> Path:
    """Return this process's own folder, made on first use."""
    global _own_folder
    if _own_folder is None:
        _own_folder = _make_folder(paths.run_dir())
        (_own_folder / "etc").mkdir()
        (_own_folder / "etc" / "qemu.conf").write_text(QEMU_CONF)
        atexit.register(_remove_own_folder, os.getpid())
    return _own_folder


_own_folder: Path | None = None


def _remove_own_folder(owner: int) -> None:
    if _own_folder is not None and os.getpid() == owner:  # not in a child that was forked
        remove_tree(_own_folder)


def _private_folder(uri: str) -> Path:
    """Return a folder that the QEMU of another libvirt can reach.

    A normal user's run folder is closed to the user whom the system's libvirt runs QEMU as.
    """
    foreign = os.geteuid() != 0 and urlsplit(uri).path != "/session"
    return _make_folder(Path(tempfile.gettempdir()) if foreign else paths.run_dir())


def _make_folder(parent: Path, prefix: str = PREFIX) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    folder.chmod(0o711)
    try_lock(folder)  # held until this process ends, however it ends
    return folder


def _run_event_loop() -> None:
    """Start libvirt's event loop in a thread; once per process, before the first connection."""
    global _loop
    with _loop_lock:
        if _loop is None:
            libvirt = library()
            libvirt.registerErrorHandler(lambda context, error: None, None)  # they are raised, too
            libvirt.virEventRegisterDefaultImpl()
            _loop = threading.Thread(target=_serve_events, name="libvirt events", daemon=True)
            _loop.start()


_loop: threading.Thread | None = None
_loop_lock = threading.Lock()


def _serve_events() -> None:
    import libvirt

    while True:
        libvirt.virEventRunDefaultImpl()


def _qemu_user(capabilities: str) -> tuple[int, int]:
    """Return uid and gid that QEMU runs as, from libvirt's capabilities; ours if it tells none."""
    found = re.search(r"<baselabel type='(?:qemu|kvm)'>\+(\d+):\+(\d+)</baselabel>", capabilities)
    return (int(found[1]), int(found[2])) if found else (os.geteuid(), os.getegid())


def _cannot_connect(uri: str, error: Exception) -> LabError:
    said = _first_line(error)
    remedy = "run ./lab doctor"
    cause = ""
    if "parse user" in said:
        cause, remedy = "root's libvirt runs QEMU as a user of its own", "run ./lab setup"
    elif "Failed to connect socket" in said:
        cause = "no libvirt daemon answers there"
        remedy = "start it, or leave --connect out: the lab's own libvirt needs no daemon"
    elif "Cannot recv data" in said:
        cause = "ssh doesn't get there, or nothing answers it"
        remedy = (
            f"try ssh {urlsplit(uri).hostname} true; there must be libvirtd and virt-ssh-helper"
        )
    elif "no connection driver available" in said:
        cause = "libvirt's QEMU driver isn't installed"
        remedy = "run ./lab setup (Debian package libvirt-daemon-driver-qemu)"
    return LabError(f"connect to {uri}", said, cause, remedy)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
