"""Declaring: from an image and what the user asks for to a `Spec`, refusing what can't be."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from typing import Any

from labrt import (
    capabilities,
    cgroups,
    limits,
    mounts,
    namespaces,
    network,
    process,
    rlimits,
    seccomp,
    state,
    volumes,
)
from labrt.errors import LabError
from labrt.images import layers
from labrt.images.store import Image
from labrt.options import Options
from labrt.spec import Life, Process, Root, Spec


def declare(
    image: Image, args: Sequence[str] = (), options: Options | None = None, **more: Any
) -> Spec:
    """Declare a container of `image`; nothing starts yet, but its layers are unpacked.

    Args:
        args: replaces the image's Cmd; its Entrypoint stays in front.
        options, more: what the user asks for, as a whole or by the names of `Options`.

    Raises:
        LabError: a wish that is none, or one this host can't fulfil; a damaged image.
    """
    wishes = options or Options(**more)
    container_id = f"lab-{secrets.token_hex(4)}"
    resources = limits.resources(wishes)
    no_cgroups = cgroups.unavailable()
    if resources and (reason := cgroups.refusal(resources)):
        raise LabError(f"limit {', '.join(resources)}", reason)
    life = _life(wishes, container_id, image)
    chosen = namespaces.chosen(wishes, state.first_pid)
    uid_mappings, gid_mappings = namespaces.mappings(chosen)
    return Spec(
        id=container_id,
        image_digest=image.digest,
        state_dir=str(state.containers_dir() / container_id),
        hostname=_hostname(wishes.hostname) if wishes.hostname is not None else container_id,
        process=_process(image, args, wishes),
        root=Root(tuple(str(folder) for folder in layers.unpacked(image)), wishes.read_only),
        life=life,
        namespaces=chosen,
        uid_mappings=uid_mappings,
        gid_mappings=gid_mappings,
        mounts=(
            *mounts.kernel_filesystems(wishes, cgroup2=cgroups.layout().kind == "v2"),
            *volumes.chosen(wishes),
        ),
        masked_paths=() if wishes.privileged else mounts.MASKED_PATHS,
        readonly_paths=() if wishes.privileged else mounts.READONLY_PATHS,
        seccomp=seccomp.chosen(wishes),
        sysctl=namespaces.sysctl(wishes),
        time_offsets=namespaces.time_offsets(wishes),
        network=network.chosen(wishes, life.name),
        cgroup="" if no_cgroups else f"{cgroups.top()}/{container_id}",
        resources=resources,
        init=wishes.init,
        skipped=wishes.skip,
    )


def _process(image: Image, args: Sequence[str], wishes: Options) -> Process:
    entrypoint = (wishes.entrypoint,) if wishes.entrypoint else image.entrypoint
    replaced = args or wishes.entrypoint
    command = (*entrypoint, *args) if replaced else image.command
    if not command:
        raise LabError(f"run {image.name}", "the image has no command", remedy="name a program")
    return Process(
        args=command,
        env=(*image.env, *wishes.env),
        cwd=wishes.workdir or image.working_dir,
        user=wishes.user or image.user,
        additional_gids=process.groups(wishes),
        terminal=wishes.tty,
        no_new_privileges=process.no_new_privileges(wishes),
        capabilities=capabilities.chosen(wishes),
        rlimits=rlimits.chosen(wishes),
        oom_score_adj=process.oom_score_adj(wishes),
    )


def _life(wishes: Options, container_id: str, image: Image) -> Life:
    return Life(
        name=wishes.name or container_id,
        image=image.name,
        created=time.time(),
        detached=wishes.detach,
        remove=wishes.rm or not wishes.detach,
    )


def _hostname(name: str) -> str:
    """Check a host name (hostname(7)).

    Raises:
        LabError: empty, longer than 64 bytes, or with characters no host name has.
    """
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?", name):
        raise LabError(f"set the host name {name!r}", "not a host name", remedy="see hostname(7)")
    return name
