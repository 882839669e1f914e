"""Mount points: where something is to be mounted in the container, found without being led astray.

Container side. A hostile image may have a link in every place; see openat2(2) for what keeps them
harmless.
"""

from __future__ import annotations

import errno
import os

from labrt import syscalls
from labrt.calls import Call, kept, open_point
from labrt.errors import LabError
from labrt.spec import Spec
from labrt.step import Context

# Where the kernel's own file systems are. Nothing is mounted there by way of a link: with a /proc
# that is something else, masks and security labels go astray (CVE-2019-16884, CVE-2023-28642).
KERNELS = ("/proc", "/sys", "/dev")


def is_below(path: str, folders: tuple[str, ...]) -> bool:
    """Whether an absolute path is one of the folders or lies below one."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def mount_point(context: Context, path: str, folder: bool = True) -> int:
    """Open a mount point, made where it is missing (container side).

    The image's links are followed, for they lead to somewhere in the container; but not the magic
    ones of procfs (openat2(2)), and none to or at the kernel's own file systems. While the host's
    tree is still mounted on top of "/" (`PivotRoot`), "/.." leads there: only the kernel's places,
    where no link is followed, may be asked for.

    Returns:
        An O_PATH descriptor: what is mounted on it can't be led astray any more.

    Raises:
        LabError: a link is in the way. OSError: the kernel's answer.
    """
    kernels = is_below(path, KERNELS)
    try:
        target = _opened(
            path,
            folder,
            syscalls.RESOLVE_NO_SYMLINKS if kernels else syscalls.RESOLVE_NO_MAGICLINKS,
        )
    except FileExistsError:
        raise _astray(path, "that leads nowhere") from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _astray(path, "that must not be followed") from None
    if not kernels:
        where = os.readlink(str(target), dir_fd=context.own_fds)
        if where == "/" or is_below(where, KERNELS):
            raise _astray(path, f"to {where}")
    return target


def is_literal(spec: Spec, path: str) -> bool:
    """Whether the mount point `path` of a container that isn't there yet will be where the path
    says, with no link on the way. Host side; nothing follows a link that comes there meanwhile."""
    if is_below(path, KERNELS):
        return True
    above = (mount.destination for mount in spec.mounts if mount.destination != path)
    if path == "/" or any(is_below(path, (each,)) for each in above):
        return False
    changes = () if spec.root.path else (f"{spec.state_dir}/upper",)
    return not any(
        _may_lead(root, path) for root in (spec.root.path, *spec.root.layers, *changes) if root
    )


def _may_lead(root: str, path: str) -> bool:
    """Whether there is a link in what another root than ours has of a path, or it can't be told."""
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_IN_ROOT
        os.close(syscalls.openat2(path, os.O_PATH, how, folder))
    except OSError as error:
        return error.errno != errno.ENOENT
    finally:
        os.close(folder)
    return False


POINT = kept("point")


def strict_point(path: str, folder: bool = True) -> Call:
    """Return the call that opens a mount point as `POINT`, made where it is missing. It follows no
    link, so the place is what its path says."""
    refused = _astray(path, "that must not be followed")
    return open_point(path, folder, {errno.ELOOP: refused, errno.EEXIST: refused})


def open_folder(path: str) -> int:
    """Open a folder that something is to be made in, made where it is missing; links are followed
    as for `mount_point`.

    Raises:
        LabError: a link is in the way. OSError: the kernel's answer.
    """
    strict = is_below(path, KERNELS)
    resolve = syscalls.RESOLVE_NO_SYMLINKS if strict else syscalls.RESOLVE_NO_MAGICLINKS
    try:
        return _opened(path, True, resolve)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EEXIST):
            raise
        raise _astray(path, "that must not be followed") from None


def _astray(path: str, whither: str) -> LabError:
    return LabError(
        f"mount on {path}",
        f"the image has a link there {whither}",
        "a hostile or broken image",
        "mend the image, or mount elsewhere",
    )


def _opened(path: str, folder: bool, resolve: int) -> int:
    try:
        return syscalls.openat2(path, os.O_PATH, resolve)
    except FileNotFoundError:
        parent = _opened(os.path.dirname(path), True, resolve)
        _make(os.path.basename(path), parent, folder)
        os.close(parent)
        return syscalls.openat2(path, os.O_PATH, resolve)


def _make(name: str, parent: int, folder: bool) -> None:
    if folder:
        os.mkdir(name, dir_fd=parent)
        os.chmod(name, 0o755, dir_fd=parent)  # whatever the user's umask
    else:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o644, dir_fd=parent))
