"""The image's entry point in a guest: the script that does what a container runtime does last.

As the OCI image configuration says (https://github.com/opencontainers/image-spec/blob/main/config.md):
Entrypoint and Cmd, Env, WorkingDir, User. Who a user is, the image's own /etc/passwd and /etc/group
tell, by the rules for containers (labrt/accounts.py); they are read here, on the host, because the
guest's busybox has nothing that takes supplementary groups as numbers.
"""

from __future__ import annotations

import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.cpio import Node
from labrt import accounts
from labrt.accounts import Account
from labrt.errors import LabError
from labrt.images.store import Image

PROGRAM = stat.S_IFREG | 0o755
LIBRARIES = ".guest/lib"


def check(image: Image) -> None:
    """Refuse an image that has nothing to run.

    Raises:
        LabError: that.
    """
    if not image.command:
        raise LabError(
            f"boot {image.name} as a VM",
            "it has no Entrypoint and no Cmd",
            remedy="build it with one",
        )


def account(image: Image, files: Mapping[str, bytes]) -> Account:
    """Return whom the entry point runs as.

    Args:
        files: etc/passwd and etc/group, as far as the image has them.

    Raises:
        LabError: the image has no such user or group.
    """

    def text(path: str) -> str:
        return files.get(path.lstrip("/"), b"").decode(errors="replace")

    return accounts.find(image.user, text)


def nodes(image: Image, user: Account) -> dict[str, Node]:
    """Return the entry point as files of the guest: what it needs, and last the script."""
    entrypoint = {".guest/entrypoint": Node(PROGRAM, script(image, user).encode())}
    if _is_plain_root(user):
        return entrypoint
    changer = _program("chroot")
    files = {".guest/chroot": changer}
    files |= {f"{LIBRARIES}/{file.name}": file for file in _libraries(changer)}
    made = {name: Node(PROGRAM, file.read_bytes()) for name, file in files.items()}
    return {LIBRARIES: Node(stat.S_IFDIR | 0o755), **made, **entrypoint}


def script(image: Image, user: Account) -> str:
    """Return what runs in the image's root as root, and becomes the entry point. Its arguments, if
    there are any, replace Cmd."""
    environment = {"HOME": user.home} | dict(entry.partition("=")[::2] for entry in image.env)
    variables = [f"{name}={value}" for name, value in environment.items()]
    run = shlex.join(["/.guest/busybox", "env", "-i", "--", *variables, *image.entrypoint])
    cmd = image.command[len(image.entrypoint) :]
    folder = shlex.quote(image.working_dir)
    return f"""\
#!/.guest/busybox sh
[ -d {folder} ] || /.guest/busybox mkdir -p -- {folder}
cd -- {folder} || exit
[ $# -gt 0 ] || set -- {shlex.join(cmd)}
exec {_become(user)}{run} "$@"
"""


def _become(user: Account) -> str:
    """Return the words before a command that let another user run it (chroot(1) of coreutils)."""
    if _is_plain_root(user):
        return ""
    groups = ",".join(f"+{group}" for group in user.groups)
    return (
        f"{_loader()}/.guest/chroot --skip-chdir --userspec=+{user.uid}:+{user.gid}"
        f" --groups={groups} / "
    )


def _loader() -> str:
    """Return the words that start a program with the guest's copies of the host's libraries."""
    for file in _libraries(_program("chroot")):
        if file.name.startswith("ld-"):
            return f"/{LIBRARIES}/{file.name} --library-path /{LIBRARIES} "
    return ""  # it is a static one


def _is_plain_root(user: Account) -> bool:
    return (user.uid, user.gid, user.groups) == (0, 0, ())


def _program(name: str) -> Path:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        raise LabError(f"find {name}", "no such program", remedy="install coreutils")
    return Path(found)


def _libraries(program: Path) -> list[Path]:
    """Return the shared objects of a program and their loader (ldd(1))."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return [Path(file) for file in re.findall(r"(/\S+) \(0x", told)]
