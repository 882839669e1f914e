"""Containers that a file declares (labrt/applying.py), as a lesson shows them: what is wanted, what
is there, and which process is a new one."""

from __future__ import annotations

from pathlib import Path

from labrt import handle, paths, state
from labrt.applying import LABEL, Change, changes, read, remove
from labrt.handle import Handle
from labrt.lessons import notebook, observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.shown import Shown, table

NOTHING = "nothing"


def folder() -> Path:
    """Return where a lesson's files lie; clean-up removes the containers of all of them.

    It is the same one when the notebook's kernel is started anew, for a file is known by its path:
    so `labrt.apply` finds the containers of before.
    """
    paths.make_passable(paths.home())
    _folder().mkdir(mode=0o700, exist_ok=True)
    notebook.at_clean_up("declared containers removed", _remove_all)
    return _folder()


def _folder() -> Path:
    return paths.home() / "declared"


def _remove_all() -> int:
    declared = {file_of(each) for each in handle.containers(every=True)}
    own = [file for file in declared if file and file.parent == _folder().resolve()]
    return sum(len(remove(file)) for file in sorted(own))


def file_of(container: Handle) -> Path | None:
    """Return the file that declares a container, None if none does."""
    labels = dict(label.partition("=")[::2] for label in container.spec.life.labels)
    return Path(labels[LABEL]) if LABEL in labels else None


def running(file: Path) -> dict[str, int]:
    """Return the host pids of a file's containers that run, by name."""
    own = [each for each in handle.containers() if file_of(each) == file.resolve()]
    return dict(sorted((each.spec.life.name, each.status.pid) for each in own))


def processes(file: Path) -> dict[str, str]:
    """Return which processes a file's containers are, by name. A pid may be used again; with the
    start time, in clock ticks since boot, it means one process (proc_pid_stat(5))."""
    found = running(file)
    return {name: f"pid {pid}, started at tick {state.birth(pid)}" for name, pid in found.items()}


def look(file: Path) -> str:
    """Return a line for each container of a file that runs: its process, and what /proc says of
    its environment."""
    pids = running(file)
    return "\n".join(
        f"{name}: {process}, {_variables(observe.environment(pids[name]))}"
        for name, process in processes(file).items()
        if name in pids
    )


def _variables(environment: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in environment.items() if name != "PATH")


def plan(file: Path) -> Shown:
    """Draw what a file wants beside what is there; on each arrow, what `labrt.apply` would do, and
    because of which field. Nothing is changed.

    Raises:
        LabError: it declares what can't be.
    """
    rows = [
        (each.name, _wanted(each), _found(each), _deed(each)) for each in changes(file, read(file))
    ]
    nodes = [
        node
        for number, (name, wanted, found, _) in enumerate(rows)
        for node in (
            Node(f"w{number}", f"{name}\n{wanted}", group=f"wanted: {file.name}"),
            Node(f"f{number}", f"{name}\n{found}", "round", "found"),
        )
    ]
    picture = Graph(
        f"{len(rows)} containers, wanted and found",
        "; ".join(f"{name}: {deed}" for name, _, _, deed in rows),
        nodes,
        [Edge(f"w{number}", f"f{number}", deed) for number, (*_, deed) in enumerate(rows)],
    )
    return picture.shown() + table(("container", "wanted", "found", "it would be"), rows)


def _wanted(change: Change) -> str:
    wanted = change.wanted
    return " ".join((*wanted.options.env, *wanted.args)) if wanted else NOTHING


def _found(change: Change) -> str:
    if change.found is None:
        return NOTHING
    first = change.found.spec.process
    told = " ".join((*(each for each in first.env if not each.startswith("PATH=")), *first.args))
    status = change.found.status
    return f"{told}, {f'pid {status.pid}' if status.state == 'running' else status.state}"


def _deed(change: Change) -> str:
    return str(change).removeprefix(f"{change.name}: ")
