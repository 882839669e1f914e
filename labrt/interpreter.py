"""The interpreter: until execve(2) the container's process is a program of the host's, the lab's
Python or one that clones for it (clone.c).

Whoever holds such a process can reach its executable through /proc/PID/exe, past the container's
root, and overwrite it once it has ended: the next to run it works for the container
(CVE-2019-5736). There are two ways to it.

Looking in, by a process of the container while the child isn't yet the program (`labrt exec`, a
shared pid namespace). The child therefore isn't dumpable (PR_SET_DUMPABLE(2const)): the kernel asks
for CAP_SYS_PTRACE over the *host* to open anything of it, to trace it or to read its memory.
execve(2) ends that.

Being invited, by a program of the image that is "#!/proc/self/exe", or a link to it: the kernel
itself starts the host's interpreter again, dumpable. No look beforehand is safe, as the files may
change under our eyes. So the file must not be writable. It isn't where its owner is an id that the
container doesn't map, which is the default: the kernel then grants nothing to the container's root.
Otherwise (the host's user namespace; a normal user's own Python) the lab itself runs from a copy in
memory that is sealed for ever (F_ADD_SEALS(2const)), which costs 4 ms and the interpreter's size
once per launcher. The command line, which clones in its own process, begins anew from such a copy;
the OCI's begins in one (entry.c), and so does who clones for another. `CheckInterpreter` refuses
what would run without.

And a third: a module that Python looks for after pivot_root(2) would be the image's. The child
imports nothing any more.
"""

from __future__ import annotations

import fcntl
import os
import sys
from typing import ClassVar

from labrt import syscalls
from labrt.calls import Call, call
from labrt.errors import LabError
from labrt.sealed import sealed_copy
from labrt.spec import IdMapping, Spec
from labrt.step import Context, Step, constant


def needs_seal() -> bool:
    """Whether this user, and so perhaps a container of theirs, could write the interpreter."""
    return os.access(sys.executable, os.W_OK)


def run_sealed(spec: Spec) -> None:
    """Begin this command anew from a sealed copy (execve(2)) where `spec`'s container could write
    the interpreter; return where it can't. To be called before anything of the container is made.

    Raises:
        OSError: the kernel gives no sealed copy, or doesn't execute it.
    """
    if not (_is_out_of_reach(spec) or _is_sealed()):
        # Python finds its library by the name it is called by, not by the file that runs.
        os.execv(f"/proc/self/fd/{sealed_copy()}", [sys.executable, *sys.orig_argv[1:]])


def _is_sealed() -> bool:
    fd = os.open("/proc/self/exe", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE != 0
    except OSError:  # EINVAL: a file on a disk
        return _is_view(fd)
    finally:
        os.close(fd)


def _is_view(fd: int) -> bool:
    """Whether we run from what `entry.c` makes: our file seen through an overlay that is read
    only and can't become anything else, for it has no upper layer. The kernel says so by the
    device, which is the overlay's, not the disk's that the file is on."""
    read_only = os.fstatvfs(fd).f_flag & os.ST_RDONLY != 0
    return read_only and os.fstat(fd).st_dev != os.stat(sys.executable).st_dev


def _is_out_of_reach(spec: Spec) -> bool:
    """Whether the executable's owner is nobody in the container, and others can't write it."""
    file = os.stat("/proc/self/exe")
    foreign_owner = not _maps(spec.uid_mappings, file.st_uid)
    foreign_group = not (file.st_mode & 0o020 and _maps(spec.gid_mappings, file.st_gid))
    return bool(spec.uid_mappings) and foreign_owner and foreign_group and not file.st_mode & 0o002


def _maps(mappings: tuple[IdMapping, ...], host_id: int) -> bool:
    return any(m.host_id <= host_id < m.host_id + m.size for m in mappings)


class CheckInterpreter(Step):
    side: ClassVar = "host"
    man: ClassVar = "memfd_create(2)"
    reason: ClassVar = "no image may overwrite the host's Python through /proc/self/exe"
    vital: ClassVar = "the host's Python could be overwritten"

    def describe(self) -> str:
        return "go on if the container can't write our executable: foreign to it, or sealed"

    def do(self, context: Context) -> None:
        if not _is_out_of_reach(context.spec) and not _is_sealed():
            raise LabError(
                f"protect {sys.executable} from the container",
                "its owner is a user of the container too",
                "the host's user namespace is shared, or this Python is a user's own",
                "start it through the launcher, whose Python is sealed",
            )


class ShieldProcess(Step):
    side: ClassVar = "container"
    man: ClassVar = "PR_SET_DUMPABLE(2const)"
    reason: ClassVar = "until it is the program, the container may neither look in nor feed it code"
    vital: ClassVar = "the host's Python could be overwritten"

    def describe(self) -> str:
        return "prctl(PR_SET_DUMPABLE, 0); no more imports"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [call("prctl", syscalls.PR_SET_DUMPABLE, 0)]

    def do(self, context: Context) -> None:
        super().do(context)
        sys.meta_path.clear()
