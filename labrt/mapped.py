"""Work on the files of a container's users, outside any container: chown(2) and removal.

A normal user may neither give files to the ids that /etc/subuid grants them nor remove what those
own. In a user namespace with the containers' map they may: there they are root over these ids. A
process with threads can't enter a user namespace (unshare(2)), so a small Python does the work and
ends.

    python -I -S -c … remove FOLDER     the folder and all in it
    python -I -S -c … chown FOLDER      standard input: {path below it: [uid, gid, mode], …}
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from labrt import syscalls
from labrt.errors import LabError
from labrt.users import mappings, write_map

_START = "import sys; sys.path[:0] = [sys.argv[1]]; from labrt.mapped import main; main()"

Owners = Mapping[str, tuple[int, int, int]]  # path below a folder → uid, gid, mode


def has_range() -> bool:
    """Whether this user's containers map more ids than the user's own."""
    return len(mappings()[0]) > 1


def remove(folder: str | os.PathLike[str]) -> None:
    """Remove a folder and all in it, whoever of the containers' users owns it.

    Raises:
        LabError: it could not be removed.
    """
    _work("remove", folder, "")


def chown(folder: str | os.PathLike[str], owners: Owners) -> None:
    """Give files to users of containers, by their ids inside; links aren't followed.

    Raises:
        LabError: an id isn't mapped.
    """
    _work("chown", folder, json.dumps(owners))


def _work(verb: str, folder: str | os.PathLike[str], text: str) -> None:
    from subprocess import PIPE, Popen  # seldom needed

    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-I", "-S", "-c", _START, root, verb, os.fspath(folder)]
    with Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as worker:
        assert worker.stdout is not None
        if worker.stdout.readline():  # its user namespace is there
            uids, gids = mappings()
            write_map(worker.pid, "gid", gids)
            write_map(worker.pid, "uid", uids)
        _, said = worker.communicate(text or "\n")
    if worker.returncode != 0:
        answer = said.strip().rpartition("\n")[2]
        raise LabError(f"{verb} {folder}", answer, "the range of /etc/subuid may have changed")


def main() -> None:
    """In the small Python: enter a user namespace, wait for its map, work."""
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    print("ready", flush=True)
    text = sys.stdin.read()
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    verb, folder = sys.argv[2:]
    if verb == "remove":
        remove_tree(folder)
    else:
        give(folder, json.loads(text))


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


def give(folder: str | os.PathLike[str], owners: Owners, base: int = 0) -> None:
    """chown(2) files below a folder, each id shifted by `base`; links aren't followed."""
    for path, (uid, gid, mode) in owners.items():
        place = os.path.join(folder, path)
        os.lchown(place, base + uid, base + gid)
        if not os.path.islink(place):
            os.chmod(place, mode)  # chown(2) clears the setuid bit
