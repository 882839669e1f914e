"""Whiteouts: how a layer says that a file of the layers below it is gone.

In an archive an empty file ".wh.NAME" hides NAME, and ".wh..wh..opq" all that lower layers have in
its folder (https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts). overlayfs
has forms of its own: a character device 0:0, which since Linux 5.8 anybody may make, and an xattr
of the folder, named as the mount option userxattr wants it
(https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories).
"""

from __future__ import annotations

import errno
import os
import stat

from labrt.errors import LabError

PREFIX = b".wh."
OPAQUE = b".wh..wh..opq"
MARK = "user.overlay.opaque"
_MAYBE_WHITEOUTS = "user.overlay.origin"  # without a value


def hidden(name: bytes) -> bytes:
    """Return which name a whiteout's name hides; b"" for none that a file can have.

    aufs kept names for itself that begin with the prefix twice: no file has such a one, either.
    """
    found = name.removeprefix(PREFIX)
    return b"" if found in (b".", b"..") or found.startswith(PREFIX) else found


def make(folder: int, name: bytes) -> None:
    """Hide `name` of lower layers in an open folder. What this layer itself has there stays; if
    it is a folder, it is all there is."""
    try:
        os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=folder)
    except FileExistsError:
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            _mark_entry(folder, name)
        return
    try:
        # Else overlayfs lists the device where no other layer has that folder.
        os.setxattr(folder, _MAYBE_WHITEOUTS, b"")
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # it hides in any case
            raise


def _mark_entry(folder: int, name: bytes) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        make_opaque(fd)
    finally:
        os.close(fd)


def make_opaque(folder: int) -> None:
    """Hide all that lower layers have in an open folder.

    Raises:
        LabError: the file system has no user xattrs.
    """
    try:
        os.setxattr(folder, MARK, b"y")
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise LabError(
            "mark an opaque folder",
            "the file system under LAB_HOME has no user xattrs",
            "a tmpfs before Linux 6.6",
            "set LAB_HOME to a folder on ext4, xfs or btrfs",
        ) from None


def is_opaque(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder of an unpacked layer hides all that lower layers have in it."""
    try:
        return os.getxattr(folder, MARK, follow_symlinks=False) == b"y"
    except OSError:
        return False


def is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0
