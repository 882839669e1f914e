"""Where the lab keeps its things. Everything the lab writes lies below one of these two folders.

LAB_HOME (default: the user's data folder, XDG Base Directory Specification) holds what is worth
keeping: images, unpacked layers, guest kernels, verdicts. The run folder holds what dies with the
machine: sockets and the state of live containers. It is short because a Unix socket's path is
limited to 107 bytes (unix(7)).
"""

from __future__ import annotations

import fcntl
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from labrt.errors import LabError, errno_text


def home() -> Path:
    """Return LAB_HOME as an absolute path. The folder may not exist yet."""
    if named := os.environ.get("LAB_HOME"):
        return Path(named).absolute()
    return _below(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"))


@cache  # a start asks a dozen times, and a path is slow to make
def _below(data: str) -> Path:
    return Path(data) / "vm-container-lab"


def lab_suffix() -> str:
    """Return what sets this lab's names on the host (cgroups, bridges) apart from another's: ""
    for the default LAB_HOME, else "-" and eight hexadecimal digits."""
    return suffix_of(home()) if os.environ.get("LAB_HOME") else ""


def suffix_of(lab_home: Path) -> str:
    """Return `lab_suffix` of a lab whose LAB_HOME is that folder."""
    return f"-{zlib.crc32(os.fsencode(lab_home)):08x}"


def is_hosts_root() -> bool:
    """Whether this process is root outside of any user namespace, as far as it can tell."""
    with open("/proc/self/uid_map") as file:
        return os.geteuid() == 0 and file.read().split() == ["0", "0", "4294967295"]


def run_dir() -> Path:
    """Return the run folder, made on first use and owned by this user.

    `LAB_RUN` overrides; otherwise root uses /run/lab and a normal user $XDG_RUNTIME_DIR/lab, or
    /tmp/lab-UID where there is no such folder. Other users may pass through root's (QEMU runs as
    an unprivileged user) but not list it.

    Raises:
        LabError: the folder can't be made, or belongs to somebody else.
    """
    uid = os.geteuid()
    if named := os.environ.get("LAB_RUN"):
        path = Path(named).absolute()
    elif uid == 0:
        path = Path("/run/lab")
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        path = Path(runtime) / "lab"
    else:
        path = Path(f"/tmp/lab-{uid}")
    try:
        if not os.path.lexists(path):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o711)  # whatever the umask
        found = path.lstat()
    except OSError as error:
        remedy = "set LAB_RUN to a folder of your own"
        raise LabError(f"use the run folder {path}", errno_text(error), remedy=remedy) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid:
        raise LabError(
            f"use the run folder {path}",
            f"it belongs to uid {found.st_uid}",
            "another user made it",
            "set LAB_RUN to a folder of your own",
        )
    return path


def make_passable(folder: Path) -> None:
    """Make a folder below LAB_HOME that the container's root may pass through, whatever the umask.

    The folders above LAB_HOME stay as private as they are: nobody needs to walk through them.
    """
    try:
        os.mkdir(folder)
    except FileExistsError:
        return
    except FileNotFoundError:
        if folder == home():
            os.makedirs(folder, exist_ok=True)
        else:
            make_passable(folder.parent)
            return make_passable(folder)
    os.chmod(folder, 0o711)


def make(folder: Path) -> None:
    """Make a folder below LAB_HOME that is nobody else's business, as the umask has it; if LAB_HOME
    itself is made, it can be passed through."""
    make_passable(home())
    folder.mkdir(parents=True, exist_ok=True)


def read(file: str | os.PathLike[str]) -> str:
    """Read a short text with one read(2): where start time counts, open() makes ten calls.

    Raises:
        OSError: the kernel's answer.
    """
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096).decode()
    finally:
        os.close(fd)


def read_bytes(file: str | os.PathLike[str]) -> bytes:
    """Read a whole file likewise, of any length.

    Raises:
        OSError: the kernel's answer.
    """
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(fd, 1 << 16), b""))
    finally:
        os.close(fd)


def write(file: str | os.PathLike[str], text: str) -> None:
    """Write a short text with one write(2), as the kernel's control files want it.

    Raises:
        OSError: the kernel's answer.
    """
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def write_whole(file: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file aside and rename it (rename(2)): whoever reads it finds the old one or the new
    one, whole, and so does who comes after a crash.

    Raises:
        OSError: the kernel's answer; nothing is left aside.
    """
    aside = f"{file.parent}/.new-{os.urandom(8).hex()}"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.fchmod(fd, mode)  # whatever the umask
            while data:
                data = data[os.write(fd, data) :]
        finally:
            os.close(fd)
        os.rename(aside, file)
    except BaseException:
        os.unlink(aside)
        raise


def lock(path: Path, how: int = fcntl.LOCK_EX) -> int:
    """Lock a file, made where it is missing, or a folder; return the descriptor that holds the
    lock: the kernel lets go when it is closed, at the latest when this process dies (flock(2)).

    Raises:
        BlockingIOError: another has it, and `how` says not to wait.
    """
    safe = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | safe, 0o600)
    except IsADirectoryError:
        fd = os.open(path, os.O_RDONLY | safe)
    try:
        fcntl.flock(fd, how)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold such a lock for the time of the block."""
    fd = lock(path, how)
    try:
        yield
    finally:
        os.close(fd)
