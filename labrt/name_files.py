"""Name files: /etc/hosts, /etc/hostname and /etc/resolv.conf, written by the lab for each container
(hosts(5), hostname(5), resolv.conf(5)).

They lie in the container's folder and are bound over the image's. So the image isn't changed, and
the lab can add a neighbour later. A link that the image has in such a place is removed, never
followed: a hostile one leads to the host's files.

Lesson: notebook 06.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import ClassVar

from labrt import networks, syscalls
from labrt.calls import AT_FDCWD, AT_SYMLINK_NOFOLLOW, Call, call, is_regular, kept, look, path_of
from labrt.errors import LabError
from labrt.spec import Spec
from labrt.step import Context, Step, constant

FILES = ("hosts", "hostname", "resolv.conf")
HOST_RESOLV_CONF = "/etc/resolv.conf"
# Where systemd-resolved tells the name servers that its own, on 127.0.0.53, asks in turn.
UPSTREAM_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"


class WriteNameFiles(Step):
    side: ClassVar = "host"
    man: ClassVar = "hosts(5)"
    reason: ClassVar = "it finds itself, its neighbours and the world's name servers by name"

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.folder = Path(spec.state_dir)

    def describe(self) -> str:
        return f"write {', '.join(FILES)} in {self.folder}"

    def do(self, context: Context) -> None:
        self._write("hostname", f"{self.spec.hostname}\n" if self.spec.hostname else "")
        self._write("resolv.conf", resolv_conf(self.spec))
        if self.spec.network and self.spec.network.mode == "bridge":
            with networks.locked():  # or a neighbour who joins just now would be missed
                network = networks.existing(self.spec.network.name)
                own = hosts(self.spec, context.address.partition("/")[0])
                others = networks.neighbours(networks.leases(network)).decode()
                self._write("hosts", own + others)
        else:
            self._write("hosts", hosts(self.spec, ""))

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o644)  # whatever the umask

    def undo(self, context: Context) -> None:
        for name in FILES:
            (self.folder / name).unlink(missing_ok=True)


def hosts(spec: Spec, address: str) -> str:
    """Return a container's own lines of its hosts file; the host's, where it shares its network."""
    if spec.network is None:
        return "".join(f"{line}\n" for line in _lines("/etc/hosts"))
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost"]
    lines += [f"{address or '127.0.1.1'}\t{spec.hostname}"] if spec.hostname else []
    lines += ["\t".join(reversed(entry.split(":", 1))) for entry in spec.network.hosts]
    return "\n".join(lines) + "\n"


def resolv_conf(spec: Spec) -> str:
    """Return a container's resolv.conf: what was asked for, else the host's, as far as a container
    can reach it: the host's loopback is not its own, and a bridge carries IPv4 alone."""
    host = _lines(HOST_RESOLV_CONF)
    if spec.network is None:
        return "\n".join(host) + "\n"
    servers = [f"nameserver {address}" for address in spec.network.dns] or (
        _reachable(host) or _reachable(_lines(UPSTREAM_RESOLV_CONF))
    )
    if not servers:
        servers = ["# the host's name server is on its loopback, out of reach; --dns names another"]
    search = [line for line in host if line.startswith(("search ", "domain "))]
    if spec.network.dns_search:
        search = [f"search {' '.join(spec.network.dns_search)}"]
    return "\n".join([*servers, *search, *_options(host)]) + "\n"


def _options(host: list[str]) -> list[str]:
    return [line for line in host if line.startswith("options ")]


def _reachable(lines: list[str]) -> list[str]:
    servers = [line for line in lines if line.startswith("nameserver ")]
    return [line for line in servers if ":" not in line and not line.startswith("nameserver 127.")]


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except FileNotFoundError:
        return []


class OpenStateDir(Step):
    side: ClassVar = "container"
    man: ClassVar = "open(2)"
    reason: ClassVar = "the name files are still in reach after pivot_root"

    def describe(self) -> str:
        return "open the container's folder (O_PATH), while the child has the host's id"

    @constant
    def calls(self, context: Context) -> list[Call]:
        kind = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        return [call("openat", AT_FDCWD, ".", kind, 0, result="state_dir")]


class BindNameFiles(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount(2)"
    reason: ClassVar = "programs look for them in /etc"

    def describe(self) -> str:
        return ", ".join(f"bind {name} on /etc/{name}" for name in FILES)

    @constant
    def calls(self, context: Context) -> list[Call]:
        no_folder = LabError("write into /etc", "the image has no folder there")
        kind, folder = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, os.O_DIRECTORY
        refusals = dict.fromkeys((errno.ENOTDIR, errno.ELOOP), no_folder)
        return [
            call("mkdirat", AT_FDCWD, "/etc", 0o755, unless={errno.EEXIST: 0}),
            call("openat", AT_FDCWD, "/etc", kind | folder, 0, result="file", refusals=refusals),
            call("close", kept("file")),
            *(each for name in FILES for each in _binding(name)),
            call("close", kept("state_dir")),
        ]


def _binding(name: str) -> tuple[Call, ...]:
    """Return the calls that bind one on a plain file, never on a link (hostile image)."""
    path = f"/etc/{name}"
    kind = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    return (
        look(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, unless={errno.ENOENT: 2}),
        is_regular(then=3),
        call("unlinkat", AT_FDCWD, path, 0),
        call("openat", AT_FDCWD, path, kind, 0o644, result="file"),
        call("close", kept("file")),
        call("mount", path_of(kept("state_dir"), f"/{name}"), path, None, syscalls.MS_BIND, None),
    )
