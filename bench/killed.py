"""What a killed bench has left, removed by whoever comes first: its supervisor, or the next bench.

    python -m bench.killed

Containers of other runtimes and engines, and what they have to write in, have no owner that the
kernel knows of. So a process that may have some holds a file of its own locked (flock(2)), and
removes it at its end. A file that nobody holds is a killed one's; and if nobody holds any, all that
carries the lab's mark is a killed one's, too.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from labrt import paths, removal, state
from labrt.errors import LabError, errno_text

_held: dict[Path, int] = {}  # by the file


def hold() -> None:
    """From here on this process may have instances. Remove what killed ones have left."""
    file = _folder() / str(os.getpid())
    if file in _held:
        return
    main()
    _folder().mkdir(exist_ok=True)
    with paths.locked(_folder()):  # nobody is removing
        _held[file] = paths.lock(file)
    atexit.register(_let_go, file)


def _let_go(file: Path) -> None:
    if file.name == str(os.getpid()):  # not in a child that was forked
        file.unlink(missing_ok=True)


def remove() -> Iterator[str]:
    """Remove what killed processes have left, once no other may have instances; yield what it was.
    What can't be removed is told, and left to `./lab clean`."""
    if not _folder().is_dir():
        return
    with paths.locked(_folder()), ExitStack() as looking:
        files = list(_folder().iterdir())
        if files and all(_is_free(file, looking) for file in files):
            for each in _removers():
                try:
                    yield from each()
                except (LabError, OSError) as error:
                    print(f"lab: {_told(error)}; ./lab clean tries again", file=sys.stderr)
            for file in files:
                file.unlink(missing_ok=True)


def _told(error: LabError | OSError) -> str:
    return str(error) if isinstance(error, LabError) else errno_text(error)


def _is_free(file: Path, looking: ExitStack) -> bool:
    lock = state.lock_file(file, wait=False)
    if lock is not None:
        looking.callback(os.close, lock)
    return lock is not None


def _folder() -> Path:
    return paths.run_dir() / "benches"


def _removers() -> tuple[Callable[[], Iterator[str]], ...]:
    from bench import clean, leftover_vms, oci_cgroups  # seldom needed, and they need all subjects

    def dead_containers() -> Iterator[str]:
        yield from (f"container {name}" for name in removal.remove_dead())

    def dead_machines() -> Iterator[str]:
        yield from (f"virtual machine {name}" for name in leftover_vms.remove_leftover_vms())

    def groups() -> Iterator[str]:
        yield from (f"cgroup {name}" for name in oci_cgroups.leftovers())

    return (
        dead_containers,
        clean.bundles,
        clean.sandboxes,
        clean.podman_containers,
        clean.docker_containers,
        dead_machines,
        groups,
        clean.rootless_homes,
        clean.ports,
        clean.scratches,
    )


def main() -> None:
    """Remove it, and tell."""
    for what in remove():
        print(f"lab: removed what a killed bench has left: {what}", file=sys.stderr)


if __name__ == "__main__":
    main()
