"""Declaring: from an image and what the user asks for to a `Spec`, refusing what can't be."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from labrt import cgroups
from labrt.errors import LabError
from labrt.images import layers
from labrt.images.store import Image
from labrt.namespaces import default_mappings
from labrt.spec import Process, Root, Spec
from labrt.state import containers_dir

_SIZE = re.compile(r"(\d+)([bkmg]?)", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
CPU_PERIOD = 100_000  # microseconds, the kernel's default (cgroup-v2.rst, cpu.max)


def memory_max(text: str) -> str:
    """Return memory.max for a size as Docker spells it: "256m", "1g", "1048576".

    Raises:
        LabError: not such a size.
    """
    match = _SIZE.fullmatch(text)
    if not match or int(match[1]) == 0:
        raise LabError(f"set the memory limit to {text!r}", "not a size", remedy="write 256m or 1g")
    return str(int(match[1]) * _UNITS[match[2].lower()])


def cpu_max(text: str) -> str:
    """Return cpu.max for a number of CPUs: "1.5" → "150000 100000".

    Raises:
        LabError: not a positive number, or below the kernel's least quota of 1 ms.
    """
    try:
        quota = round(float(text) * CPU_PERIOD)
    except (ValueError, OverflowError):
        quota = 0
    if quota < 1000:
        raise LabError(
            f"set the CPU limit to {text!r}",
            "not a number of 0.01 or more",
            remedy="write 0.5 or 1",
        )
    return f"{quota} {CPU_PERIOD}"


def pids_max(text: str) -> str:
    """Return pids.max for a number of processes.

    Raises:
        LabError: not a positive whole number.
    """
    if not text.isdecimal() or int(text) == 0:
        raise LabError(f"set the limit of processes to {text!r}", "not a whole number above 0")
    return text


def declare(
    image: Image,
    args: Sequence[str] = (),
    *,
    env: Sequence[str] = (),
    hostname: str | None = None,
    memory: str | None = None,
    cpus: str | None = None,
    pids: str | None = None,
    read_only: bool = False,
) -> Spec:
    """Declare a container of `image`; nothing starts yet, but its layers are unpacked.

    Args:
        args: replaces the image's Cmd; its Entrypoint stays in front.
        env: "NAME=value", added to the image's.
        hostname: default: the container's id.
        memory, cpus, pids: limits as users write them; None for none.

    Raises:
        LabError: a limit that is none, or one this host can't keep; a damaged image.
    """
    container_id = f"lab-{secrets.token_hex(4)}"
    resources = {
        file: convert(text)
        for file, convert, text in (
            ("memory.max", memory_max, memory),
            ("cpu.max", cpu_max, cpus),
            ("pids.max", pids_max, pids),
        )
        if text is not None
    }
    reason = cgroups.unavailable()
    if resources and reason:
        raise LabError(f"limit {', '.join(resources)}", reason)
    command = (*image.entrypoint, *args) if args else image.command
    if not command:
        raise LabError(f"run {image.name}", "the image has no command", remedy="name a program")
    uid_mapping, gid_mapping = default_mappings()
    return Spec(
        id=container_id,
        image_digest=image.digest,
        state_dir=str(containers_dir() / container_id),
        hostname=_hostname(hostname) if hostname is not None else container_id,
        process=Process(args=command, env=(*image.env, *env), cwd=image.working_dir),
        root=Root(tuple(str(folder) for folder in layers.unpacked(image)), read_only),
        uid_mappings=(uid_mapping,),
        gid_mappings=(gid_mapping,),
        cgroup="" if reason else f"{cgroups.TOP}/{container_id}",
        resources=resources,
    )


def _hostname(name: str) -> str:
    """Check a host name (hostname(7)).

    Raises:
        LabError: empty, longer than 64 bytes, or with characters no host name has.
    """
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?", name):
        raise LabError(f"set the host name {name!r}", "not a host name", remedy="see hostname(7)")
    return name
