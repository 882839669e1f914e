"""What a user may ask for, spelled as Docker and Podman spell it.

One list serves both doors: a field is a keyword of `labrt.run(…)`, and with dashes for underscores
an option of `labrt run …`. What the words mean is said where they are declared (`declare.py` and
the file of the kernel feature).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def _text(metavar: str, help: str, short: str = "") -> Any:
    return field(default=None, metadata={"metavar": metavar, "help": help, "short": short})


def _many(metavar: str, help: str, short: str = "") -> Any:
    return field(default=(), metadata={"metavar": metavar, "help": help, "short": short})


def _flag(help: str, short: str = "") -> Any:
    return field(default=False, metadata={"help": help, "short": short})


@dataclass(frozen=True)
class Options:
    """All of them; None, () and False mean "not asked for"."""

    # The process.
    env: tuple[str, ...] = _many("NAME=VALUE", "set an environment variable", "-e")
    env_file: tuple[str, ...] = _many("FILE", "the same, of each line of a file")
    workdir: str | None = _text("DIR", "where the program starts", "-w")
    user: str | None = _text("USER[:GROUP]", "by name or number, as the image knows it", "-u")
    group_add: tuple[str, ...] = _many("GID", "a supplementary group")
    entrypoint: str | None = _text("PROGRAM", "replaces the image's")
    init: bool = _flag("a small init as process 1, which reaps zombies")
    ulimit: tuple[str, ...] = _many("NAME=SOFT[:HARD]", "a limit of getrlimit(2): nofile=64")
    oom_score_adj: str | None = _text("N", "how willingly the kernel kills it, -1000 to 1000")
    # Names.
    hostname: str | None = _text("NAME", "default: the container's id", "-h")
    pid: str | None = _text("host|container:NAME|pid:N|ns:PATH", "share a pid namespace")
    ipc: str | None = _text("host|container:NAME|pid:N|ns:PATH", "share an ipc namespace")
    uts: str | None = _text("host|container:NAME|pid:N|ns:PATH", "share a uts namespace")
    userns: str | None = _text("host|container:NAME|pid:N|ns:PATH", "share a user namespace")
    cgroupns: str | None = _text("host|container:NAME|pid:N|ns:PATH", "share a cgroup namespace")
    time_offset: tuple[str, ...] = _many(
        "monotonic=S|boottime=S", "a time namespace whose clock is ahead by S seconds"
    )
    sysctl: tuple[str, ...] = _many("NAME=VALUE", "a kernel setting of its own namespaces")
    # Files.
    volume: tuple[str, ...] = _many("SOURCE:TARGET[:ro]", "a host folder or a named volume", "-v")
    mount: tuple[str, ...] = _many("type=…,src=…,dst=…", "the same, and tmpfs, in full")
    tmpfs: tuple[str, ...] = _many("TARGET[:OPTIONS]", "a file system in memory")
    shm_size: str | None = _text("SIZE", "size of /dev/shm; default: 64m")
    read_only: bool = _flag("a root that can't be written")
    # Limits.
    memory: str | None = _text("SIZE", "memory.max: 256m, 1g", "-m")
    memory_swap: str | None = _text("SIZE", "memory and swap together; -1: no limit of swap")
    memory_reservation: str | None = _text("SIZE", "memory.low: taken back last")
    cpus: str | None = _text("N", "cpu.max: 0.5, 1")
    cpu_shares: str | None = _text("N", "cpu.weight in the old scale, 2 to 262144; 1024 is usual")
    cpuset_cpus: str | None = _text("LIST", "cpuset.cpus: 0-3, 0,2")
    cpuset_mems: str | None = _text("LIST", "cpuset.mems")
    pids_limit: str | None = _text("N", "pids.max: 64")
    blkio_weight: str | None = _text("N", "io.weight, 10 to 1000")
    device_read_bps: tuple[str, ...] = _many("DEVICE:RATE", "io.max rbps: /dev/sda:1m")
    device_write_bps: tuple[str, ...] = _many("DEVICE:RATE", "io.max wbps")
    device_read_iops: tuple[str, ...] = _many("DEVICE:N", "io.max riops")
    device_write_iops: tuple[str, ...] = _many("DEVICE:N", "io.max wiops")
    cgroup_conf: tuple[str, ...] = _many("FILE=VALUE", "any file of cgroup v2: memory.high=9m")
    # Network.
    network: str | None = _text(
        "none|host|bridge|pasta|container:NAME|pid:N|ns:PATH|NETWORK", "default: none"
    )
    publish: tuple[str, ...] = _many("[IP:]HOST:CONTAINER[/udp]", "publish a port", "-p")
    ip: str | None = _text("ADDRESS", "its address in the network")
    network_alias: tuple[str, ...] = _many("NAME", "one more name for its neighbours")
    dns: tuple[str, ...] = _many("ADDRESS", "a name server")
    dns_search: tuple[str, ...] = _many("DOMAIN", "a domain to search")
    add_host: tuple[str, ...] = _many("NAME:ADDRESS", "a line of /etc/hosts")
    # Security.
    privileged: bool = _flag("all capabilities, no filter, nothing masked; still no host root")
    cap_add: tuple[str, ...] = _many("CAP", "give a capability, or ALL")
    cap_drop: tuple[str, ...] = _many("CAP", "take a capability, or ALL")
    security_opt: tuple[str, ...] = _many(
        "OPTION", "no-new-privileges[=false], seccomp=unconfined, seccomp=FILE"
    )
    # The recipe.
    skip: tuple[str, ...] = _many("STEP", "leave a step out, to see what it is for")
    # Its life.
    name: str | None = _text("NAME", "default: its id")
    rm: bool = _flag("remove it when it ends")
    detach: bool = _flag("go on without waiting for it", "-d")
    interactive: bool = _flag("keep standard input open", "-i")
    tty: bool = _flag("a terminal of its own", "-t")
    restart: str | None = _text("no|always|on-failure[:N]", "start it again when it ends")
    stop_signal: str | None = _text("SIGNAL", "what stop sends; default: SIGTERM")
    stop_timeout: str | None = _text("SECONDS", "how long stop waits; default: 10")
    health_cmd: str | None = _text("COMMAND", "a shell command that says whether it is well")
    health_interval: str | None = _text("SECONDS", "between two of them; default: 30")
    health_timeout: str | None = _text("SECONDS", "for one of them; default: 30")
    health_start_period: str | None = _text("SECONDS", "in which no failure counts; default: 0")
    health_retries: str | None = _text("N", "failures in a row until unhealthy; default: 3")
    no_healthcheck: bool = _flag("don't ask, whatever the image says")
    label: tuple[str, ...] = _many("NAME=VALUE", "anything you want to remember", "-l")


# Those that say how much of the machine it may use; they can change while it runs.
LIMITS = (
    "memory",
    "memory_swap",
    "memory_reservation",
    "cpus",
    "cpu_shares",
    "cpuset_cpus",
    "cpuset_mems",
    "pids_limit",
    "blkio_weight",
    "device_read_bps",
    "device_write_bps",
    "device_read_iops",
    "device_write_iops",
    "cgroup_conf",
)


def add_arguments(parser: argparse.ArgumentParser, only: Container[str] | None = None) -> None:
    """Add one command-line option for each field, or for each that is named in `only`."""
    parser.set_defaults(**{each.name: None for each in fields(Options)})
    for each in fields(Options):
        if only is not None and each.name not in only:
            continue
        names = [f"--{each.name.replace('_', '-')}"]
        names += [short] if (short := each.metadata["short"]) else []
        parser.add_argument(*names, help=each.metadata["help"], dest=each.name, **_kind(each))


def _kind(each: Field[Any]) -> dict[str, Any]:
    if each.default is False:
        return {"action": "store_true"}
    action = "append" if each.default == () else "store"
    return {"action": action, "metavar": each.metadata["metavar"], "default": each.default or None}


def parsed(values: argparse.Namespace) -> Options:
    """Return what a parser made by `add_arguments` has parsed."""
    given = {each.name: getattr(values, each.name) for each in fields(Options)}
    asked = {name: value for name, value in given.items() if value is not None}
    return Options(**{name: _plain(value) for name, value in asked.items()})


def given(**values: Any) -> Options:
    """Return options from Python values: numbers become text, lists tuples.

    Raises:
        TypeError: no option has that name.
    """
    return Options(**{name: _plain(value) for name, value in values.items()})


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
