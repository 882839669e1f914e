"""Work on the files of a container's users, outside any container: unpacking and removal.

A normal user may neither give files to the ids that /etc/subuid grants them nor remove what those
own. In a user namespace with the containers' map they may: there they are root over these ids, and
over nothing else, which suits root, too, where the work is on hostile input. A process with threads
can't enter a user namespace (unshare(2)), so a small Python does the work and ends.

    python -I -S -c … MODULE ARGUMENT…      runs main() of a module, which calls `enter` first
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from labrt import syscalls
from labrt.errors import LabError, errno_text
from labrt.users import APPARMOR, mappings, write_map

if TYPE_CHECKING:
    from subprocess import Popen

_START = (
    "import sys; sys.path[:0] = [sys.argv[1]]; "
    "from importlib import import_module; import_module(sys.argv[2]).main()"
)


def has_range() -> bool:
    """Whether this user's containers map more ids than the user's own."""
    return len(mappings()[0]) > 1


def remove(folder: str | os.PathLike[str]) -> None:
    """Remove a folder and all in it, whoever of the containers' users owns it.

    Raises:
        LabError: it could not be removed.
    """
    with worker("labrt.mapped", os.fspath(folder)) as process:
        _, said = process.communicate()
    if process.returncode != 0:
        answer = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise LabError(f"remove {folder}", answer, "the range of /etc/subuid may have changed")


@contextmanager
def worker(
    module: str, *arguments: str, folder: str | os.PathLike[str] = "/"
) -> Iterator[Popen[bytes]]:
    """Start the small Python in `folder`; wait for its end, which is that of its standard input.

    Raises:
        LabError, OSError: its user namespace got no map.
    """
    from subprocess import PIPE, Popen  # seldom needed

    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-I", "-S", "-c", _START, root, module, *arguments]
    with Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=folder) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            if process.stdout.readline():  # its user namespace is there
                uids, gids = mappings()
                write_map(process.pid, "gid", gids)
                write_map(process.pid, "uid", uids)
                process.stdin.write(b"\n")
                process.stdin.flush()
            yield process
        except BaseException:
            process.kill()
            with suppress(BrokenPipeError):  # what it won't read any more
                process.stdin.close()
            raise


def enter() -> None:
    """In the small Python: become root of a new user namespace, once it has its map.

    Raises:
        LabError: the kernel allows no user namespace, or one without rights.
    """
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(1, b"ready\n")
        if not os.read(0, 1):
            sys.exit("the user namespace got no map")
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    except OSError as error:
        why = APPARMOR if error.errno == errno.EPERM else ()
        raise LabError("become root of a user namespace", errno_text(error), *why) from None


def main() -> None:
    enter()
    remove_tree(sys.argv[-1])


def remove_tree(folder: str | os.PathLike[str]) -> None:
    """Remove a folder and all in it, following no link, also what a container closed to itself.

    Raises:
        PermissionError: something in it is not ours.
    """
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        os.chmod(folder, 0o700)
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(folder)
