"""sysctl: the settings of /proc/sys that belong to a namespace (sysctl(8), proc_sys(5)).

The same file is another setting in another namespace: net.* of a network, kernel.shmmax and its
like of an ipc, kernel.domainname of a uts namespace. All others are the machine's. So a container
may choose only those of its own namespaces.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Sequence
from typing import ClassVar

from labrt import paths
from labrt.calls import Call, write
from labrt.errors import LabError
from labrt.options import Options
from labrt.spec import Namespace, NamespaceType
from labrt.step import Context, Step

# https://github.com/opencontainers/runc/blob/main/libcontainer/configs/validate/validator.go
_BELONGS_TO: dict[str, NamespaceType] = {
    r"net/.+": "network",
    r"fs/mqueue/.+": "ipc",
    r"kernel/(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)": "ipc",
    r"kernel/domainname": "uts",
}


def chosen(wishes: Options, spaces: tuple[Namespace, ...]) -> dict[str, str]:
    """Return --sysctl, name → value.

    Raises:
        LabError: not NAME=VALUE, or a setting that isn't of one of the container's own namespaces.
    """
    own = {ns.type for ns in spaces if not ns.path}
    settings = dict(asked.partition("=")[::2] for asked in wishes.sysctl)
    for name, value in settings.items():
        check(name, value, own)
    return settings


def check(name: str, value: str, own: Collection[NamespaceType]) -> None:
    """Refuse a setting that isn't of one of the container's own namespaces.

    Args:
        own: the kinds that are its own.

    Raises:
        LabError: it isn't, or it is none at all.
    """
    tried = f"set the sysctl {f'{name}={value}'!r}"
    parts = _path(name).split("/")
    if not (value.isprintable() and value.strip()) or not all(map(_is_part, parts)):
        raise LabError(tried, "not NAME=VALUE, as net.ipv4.ip_forward=1", remedy="see sysctl(8)")
    if name in ("kernel.hostname", "kernel/hostname"):
        raise LabError(tried, "the host name has an option of its own", remedy="--hostname NAME")
    kinds = (kind for form, kind in _BELONGS_TO.items() if re.fullmatch(form, _path(name)))
    kind = next(kinds, None)
    if kind is None:
        raise LabError(tried, "it is the whole machine's, no namespace has one of its own")
    if kind not in own:
        raise LabError(tried, f"it belongs to the {kind} namespace, and that one is shared")


def _path(name: str) -> str:
    """Return a setting's place below /proc/sys. As with sysctl(8), a name that begins with a part
    and a slash is a path; otherwise dots stand for slashes, and slashes for dots."""
    if re.match(r"[^./]*/", name):
        return name
    return name.translate(str.maketrans("./", "/."))


def _is_part(part: str) -> bool:
    return re.fullmatch(r"\w[\w.:@-]*", part, re.ASCII) is not None  # never ".."


class SetSysctl(Step):
    """Before the child becomes the container's root: some settings are for the host's root alone to
    write, also those of a namespace. For the ipc namespace's it is the other way round since
    Linux 6.9: only its own root may."""

    side: ClassVar = "container"
    man: ClassVar = "proc_sys(5)"
    reason: ClassVar = "asked for; the same file is another setting in each namespace"

    def __init__(self, name: str, value: str) -> None:
        self.file = f"/proc/sys/{_path(name)}"
        self.value = value

    def describe(self) -> str:
        return f"write {self.value!r} into {self.file}, while the child has the host's id"

    def calls(self, context: Context) -> Sequence[Call] | None:
        if not self.file.startswith("/proc/sys/net/"):
            return None  # it may take root inside
        text = self.value.encode()
        return write(self.file, text)

    def do(self, context: Context) -> None:
        try:
            paths.write(self.file, self.value)
        except PermissionError:
            self._write_as_root_inside()

    def _write_as_root_inside(self) -> None:
        if (child := os.fork()) == 0:
            self._become_root_and_write()
        if number := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise OSError(abs(number), os.strerror(abs(number)))

    def _become_root_and_write(self) -> None:
        """In a child of its own, for there is no way back to the host's id. Its exit code is the
        kernel's answer."""
        number = errno.EIO
        try:
            os.setresuid(0, 0, 0)
            paths.write(self.file, self.value)
            number = 0
        except OSError as error:
            number = error.errno or errno.EIO
        finally:
            os._exit(number)

    def likely(self, error: OSError) -> tuple[str, str]:
        return {
            errno.ENOENT: ("no namespace but the host's has it on this kernel", "check its name"),
            errno.EACCES: ("only the host's root may write it on this kernel", "run as root"),
            errno.EINVAL: ("the kernel doesn't take that value", "see proc_sys(5)"),
        }.get(error.errno or 0, ("", ""))
