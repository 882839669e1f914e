"""Declaring: from an image and what the user asks for to a `Spec`, refusing what can't be."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from labrt import (
    capabilities,
    cgroups,
    life,
    limits,
    mounts,
    network,
    process,
    rlimits,
    seccomp,
    sharing,
    state,
    sysctl,
    time_namespace,
    users,
    volumes,
)
from labrt.errors import LabError
from labrt.images import layers
from labrt.images.store import Image
from labrt.options import Options
from labrt.spec import Namespace, Process, Root, Spec


def declare(
    image: Image,
    args: Sequence[str] = (),
    options: Options | None = None,
    *,
    container_id: str = "",
    **more: Any,
) -> Spec:
    """Declare a container of `image`; nothing starts yet, but its layers are unpacked.

    Args:
        args: replaces the image's Cmd; its Entrypoint stays in front.
        options, more: what the user asks for, as a whole or by the names of `Options`.
        container_id: default: a new one.

    Raises:
        LabError: a wish that is none, or one this host can't fulfil; a damaged image.
    """
    wishes = options or Options(**more)
    container_id = container_id or f"lab-{os.urandom(4).hex()}"
    resources = limits.resources(wishes)
    no_cgroups = cgroups.unavailable()
    if resources and (reason := cgroups.refusal(resources)):
        raise LabError(f"limit {', '.join(resources)}", reason)
    kept = life.chosen(wishes, container_id, image.name, image.stop_signal, image.health)
    chosen = sharing.chosen(wishes, state.first_pid, no_cgroups)
    uid_mappings, gid_mappings = sharing.mappings(chosen) or users.mappings(chosen)
    state_dir = state.containers_dir() / container_id
    return Spec(
        id=container_id,
        image_digest=image.digest,
        state_dir=str(state_dir),
        hostname=_hostname(wishes, container_id) if Namespace("uts") in chosen else "",
        process=_process(image, args, wishes),
        root=Root(tuple(str(folder) for folder in layers.unpacked(image)), wishes.read_only),
        life=kept,
        namespaces=chosen,
        uid_mappings=uid_mappings,
        gid_mappings=gid_mappings,
        mounts=(
            *sharing.views(
                mounts.kernel_filesystems(wishes, cgroup2=cgroups.layout().kind == "v2"), chosen
            ),
            *volumes.chosen(wishes, state_dir, image.volumes),
        ),
        masked_paths=() if wishes.privileged else mounts.MASKED_PATHS,
        readonly_paths=() if wishes.privileged else mounts.READONLY_PATHS,
        seccomp=seccomp.chosen(wishes),
        sysctl=sysctl.chosen(wishes, chosen),
        time_offsets=time_namespace.chosen(wishes),
        network=network.chosen(wishes, kept.name),
        cgroup="" if no_cgroups else f"{cgroups.top()}/{container_id}",
        resources=resources,
        init=wishes.init,
        skipped=wishes.skip,
    )


def entered(spec: Spec, args: Sequence[str], wishes: Options) -> Process:
    """Declare one more process of a container, as its first one but for what is asked.

    Raises:
        LabError: a wish that is none, or nothing to run.
    """
    if not args:
        raise LabError(f"run something in {spec.life.name}", "no program", remedy="name one")
    first = spec.process
    return replace(
        first,
        args=tuple(args),
        env=(*first.env, *process.environment(wishes)),
        cwd=wishes.workdir or first.cwd,
        user=users.user(wishes, first.user),
        terminal=wishes.tty,
        capabilities=None if wishes.privileged else first.capabilities,
    )


def _process(image: Image, args: Sequence[str], wishes: Options) -> Process:
    entrypoint = (wishes.entrypoint,) if wishes.entrypoint else image.entrypoint
    replaced = args or wishes.entrypoint
    command = (*entrypoint, *args) if replaced else image.command
    if not command:
        raise LabError(f"run {image.name}", "the image has no command", remedy="name a program")
    return Process(
        args=command,
        env=(*image.env, *process.environment(wishes)),
        cwd=wishes.workdir or image.working_dir,
        user=users.user(wishes, image.user),
        additional_groups=users.groups(wishes),
        terminal=wishes.tty,
        no_new_privileges=process.no_new_privileges(wishes),
        capabilities=capabilities.chosen(wishes),
        rlimits=rlimits.chosen(wishes),
        oom_score_adj=process.oom_score_adj(wishes),
    )


def _hostname(wishes: Options, container_id: str) -> str:
    """Return --hostname, by default the container's id (hostname(7)).

    Raises:
        LabError: empty, longer than 64 bytes, or with characters no host name has.
    """
    name = container_id if wishes.hostname is None else wishes.hostname
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?", name):
        raise LabError(f"set the host name {name!r}", "not a host name", remedy="see hostname(7)")
    return name
