"""`./lab clean`: stops and removes what the lab made, and only that; it lists what it removed.

    python -m bench.clean [--all]

What it finds even after a kill -9: containers (their folders in LAB_HOME tell how to undo them),
those that other runtimes and engines ran for the bench, virtual machines, the lab machine, the
lab's cgroups, the run folder. `--all` also removes what the lab keeps: LAB_HOME, if it carries the
lab's mark, and .venv. Results, ledgers and the lab machine's disk are the user's and stay.
Host side; standard library only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench import bridge_port, leftover_vms, oci_cgroups, other_host, scratch
from bench.oci_runtime import crun, runc
from bench.subjects import _oci, _sandbox, docker, labrt_rootless, podman, systemd_nspawn
from labrt import cgroups, launching, networks, paths, removal, state
from labrt.errors import LabError, errno_text
from vagrant import machine

ROOT = Path(__file__).parent.parent
MARK = ".made-by-the-lab"  # as in setup/home.sh
KEPT = (
    "accelerator.json",
    "containers",
    "docker-daemon",
    "guests",
    "hosts",
    "images",
    "kernels",
    "layers",
    "logins.json",
    "logins.lock",
    "logs",
    "names",
    "networks",
    "podman",
    "ports",
    "scratch",
    "seccomp",
    "setup.lock",
    "stamps",
    "volumes",
    "wheels",
)


def other_hosts() -> Iterator[str]:
    """Remove the hosts that the bench has played, with what runs on them."""
    for name in other_host.remove_leftovers():
        yield f"the other host {name}"


def fork_server() -> Iterator[str]:
    """End the process that does commands in others' stead."""
    if launching.end_fork_server():
        yield "the fork server"


def containers() -> Iterator[str]:
    """End and undo every container."""
    for name in removal.remove_all():
        yield f"container {name}"


def bundles() -> Iterator[str]:
    """End every container of runc and crun."""
    for runtime in (runc, crun):
        for name in _oci.remove_leftovers(runtime):
            yield f"{runtime.name} container {name}"


def sandboxes() -> Iterator[str]:
    """End every container of bubblewrap and systemd-nspawn."""
    for name in [*_sandbox.remove_leftovers("bwrap"), *systemd_nspawn.remove()]:
        yield f"container {name}"


def podman_containers() -> Iterator[str]:
    """End every container in the lab's own Podman storage."""
    for name in podman.remove_leftovers():
        yield f"Podman container {name}"


def docker_containers() -> Iterator[str]:
    """End the lab's containers, and only those, in the Docker daemon that the bench used."""
    for name in docker.remove_leftovers():
        yield f"Docker container {name}"


def machines() -> Iterator[str]:
    """End every virtual machine."""
    for name in leftover_vms.remove_leftover_vms(living=True):
        yield f"virtual machine {name}"


def lab_machine() -> Iterator[str]:
    """Switch off what `./lab machine up` has started; its disk, the student's work, stays."""
    if machine.running():
        machine.down(destroy=False)
        yield f"the running lab machine ({machine.place()} stays)"


def groups() -> Iterator[str]:
    """Kill what is still in the lab's cgroups, and remove them."""
    for group in cgroups.all_cgroups():
        group.kill()
        group.remove()
        yield f"cgroup {group.name}"
    for name in oci_cgroups.leftovers():
        yield f"cgroup {name}"
    cgroups.remove_top()


def rootless_homes() -> Iterator[str]:
    """Remove what a normal user's containers were given for the bench."""
    yield from labrt_rootless.remove_leftovers()


def ports() -> Iterator[str]:
    """Remove from labrt's bridge what a killed bench has left there."""
    for name in bridge_port.remove_leftovers():
        yield f"the port of {name} on the bridge"


def scratches() -> Iterator[str]:
    """Remove what instances that are no more had to write in; VMs' disks go with the machines."""
    for name in scratch.remove_leftovers():
        yield f"the scratch of {name}"


def bridges() -> Iterator[str]:
    """Take down bridges and rules that a crash has left; containers take their own along."""
    for name in networks.remove_unused():
        yield f"the bridge of the network {name}"


def run_folder() -> Iterator[str]:
    """Remove sockets and libvirt's state from the run folder, and the folder if it is empty then.

    What a living process has locked there is its own to remove.
    """
    folder = paths.run_dir()
    for entry in sorted(folder.iterdir()):
        if not _in_use(entry):
            _remove(entry)
            yield str(entry)
    if not any(folder.iterdir()):
        folder.rmdir()


def home() -> Iterator[str]:
    """Remove from LAB_HOME what the lab puts there, and the folder if nothing else is in it.

    Raises:
        LabError: it lacks the lab's mark.
    """
    folder = paths.home()
    if not folder.is_dir():
        return
    mark = folder / MARK
    if not mark.exists():
        raise LabError(
            f"remove {folder}",
            f"it has no file {MARK}",
            "the lab did not make it, or set-up never finished",
            "look into it and remove it by hand",
        )
    for name in KEPT:
        if (folder / name).exists():
            _remove(folder / name)
            yield str(folder / name)
    others = sorted(entry.name for entry in folder.iterdir() if entry != mark)
    if others:
        yield f"({folder} stays: {', '.join(others)} is the user's)"
        return
    mark.unlink()
    folder.rmdir()


def environment() -> Iterator[str]:
    """Remove .venv, perhaps the one this very process runs in."""
    folder = ROOT / ".venv"
    if folder.is_dir():
        shutil.rmtree(folder)
        yield str(folder)


# In this order: what lives is ended before what it uses is removed.
RUNNING: tuple[Callable[[], Iterator[str]], ...] = (
    other_hosts,
    fork_server,
    containers,
    bundles,
    sandboxes,
    podman_containers,
    docker_containers,
    machines,
    lab_machine,
    groups,
    rootless_homes,
    ports,
    scratches,
    bridges,
    run_folder,
)
KEPT_THINGS: tuple[Callable[[], Iterator[str]], ...] = (home, environment)


def clean(everything: bool, tell: Callable[[str], None]) -> bool:
    """Remove all that can be removed, telling each; False if something could not be.

    One kind's failure doesn't keep the others from being removed.
    """
    whole = True
    for remove in RUNNING + (KEPT_THINGS if everything else ()):
        try:
            for removed in remove():
                tell(removed)
        except LabError as error:
            whole = False
            print(f"lab: {error}", file=sys.stderr)
        except OSError as error:
            whole = False
            print(f"lab: remove {error.filename}: {errno_text(error)}", file=sys.stderr)
    return whole


def _in_use(path: Path) -> bool:
    """Whether a living process holds the folder's lock."""
    if not path.is_dir() or path.is_symlink():
        return False
    lock = state.try_lock(path)
    if lock is None:
        return True
    os.close(lock)
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        state.remove_tree(path)
    else:
        path.unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """Clean, and print one line for each thing removed."""
    parser = argparse.ArgumentParser(prog="lab clean", description="Remove what the lab made.")
    parser.add_argument("--all", action="store_true", help="also LAB_HOME and .venv")
    options = parser.parse_args(arguments)
    removed: list[str] = []

    def tell(what: str) -> None:
        removed.append(what)
        print(f"removed {what}")

    whole = clean(options.all, tell)
    if not removed:
        print("nothing to remove")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
