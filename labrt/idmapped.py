"""Id-mapped mounts: files of one owner that are another's by way of this mount (mount_setattr(2)).

The map is a user namespace's. It needs one that exists, not one that anybody is in: a process makes
it, is given the map, and ends while a descriptor holds the namespace.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import ClassVar

from labrt import syscalls
from labrt.spec import Mount
from labrt.step import Context, Step
from labrt.users import Mappings, write_map


def user_namespace(uids: Mappings, gids: Mappings) -> int:
    """Return a descriptor of a new user namespace with these maps.

    Raises:
        OSError, LabError: the kernel's answer.
    """
    pid, pidfd = syscalls.clone3(syscalls.CLONE_NEWUSER)
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        write_map(pid, "gid", gids)
        write_map(pid, "uid", uids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)


class MapSource(Step):
    """Follows `OpenSource`: the copy of the mounts that is mapped isn't mounted anywhere yet."""

    side: ClassVar = "host"
    man: ClassVar = "mount_setattr(2)"
    reason: ClassVar = "asked for: the files' owners are others in the container"
    vital: ClassVar = "files would belong to others than asked for"

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.recursive = "ridmap" in mount.options

    def describe(self) -> str:
        ranges = ", ".join(
            f"{m.container_id} {m.host_id} {m.size}" for m in self.mount.uid_mappings
        )
        return f"mount_setattr({self.mount.source}, MOUNT_ATTR_IDMAP), uids {ranges}"

    def do(self, context: Context) -> None:
        source = context.sources[self.mount.destination][-1]
        userns = user_namespace(self.mount.uid_mappings, self.mount.gid_mappings)
        try:
            syscalls.mount_setattr(
                source, syscalls.MOUNT_ATTR_IDMAP, 0, self.recursive, userns=userns
            )
        finally:
            os.close(userns)

    def likely(self, error: OSError) -> tuple[str, str]:
        return {
            errno.EINVAL: ("its file system can't be mapped, or is mapped already", ""),
            errno.EPERM: ("only root of the file system's user namespace may", "run as root"),
        }.get(error.errno or 0, ("", ""))
