"""Starts the same container once for each step of its recipe, and fails or dies at that step.

A program of its own, because the runtime's cloning side is single-threaded and a start that is
killed takes its process along. For each fault a forked child, the launcher, starts the container;
the driver, as subreaper, sees every process that outlives it. The recipe drives: a new step is
covered without anyone remembering. A mode is a row of `MODES`.

    fault_driver.py MODE WAY…

where MODE may also be options as JSON.

Prints one JSON list per fault: [step, way, what the start raised (or null), what was left].
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from labrt import cgroups, container, interpreter, namespaces, paths, removal, state, syscalls
from labrt.bundle import declaring
from labrt.bundle.reading import Value
from labrt.calls import Call, call, descriptor, refuse, scratch
from labrt.cloning import OwnCloner
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import base, store
from labrt.perform import raise_late
from labrt.recipe import entering, recipe
from labrt.spec import Spec
from labrt.step import Context, Step
from tests.labrt.bundle.bundles import config, fill_root

# How a step ends: it fails; its own process is killed there; or the launcher is killed while the
# child is at it (for host-side steps that is the same as "die").
WAYS = ("fail", "die", "orphan")
DEADLINE = 30  # seconds for one fault, after which SIGALRM ends the driver


def options(**more: Any) -> dict[str, Any]:
    """As many options as make steps of their own on this host."""
    limits = {} if cgroups.unavailable() else {"memory": "64m", "cpus": "1", "pids_limit": "32"}
    return {
        **limits,
        "ulimit": ("nofile=64",),
        "oom_score_adj": "900",
        "init": True,
        "tty": True,
        "read_only": True,
        "volume": ("/data", "/etc:/host:ro"),
        "tmpfs": ("/scratch",),
        "name": f"faulty-{os.getpid()}",
        **more,
    }


def _image(image: store.Image, chosen: dict[str, Any]) -> Spec:
    return declare(image, ["true"], **options(**chosen))


def _bundle(image: store.Image, chosen: dict[str, Any]) -> Spec:
    """A bundle with as many fields as make steps of their own; "waits" as `create` has it."""
    folder = paths.home() / "bundle"
    if not folder.exists():
        fill_root(folder / "rootfs")
    told = Value("", _config(chosen["hooks"]))
    spec = declaring.declare(f"lab-{os.urandom(4).hex()}", folder, told)
    life = replace(spec.life, detached=False, remove=True, waits=chosen["waits"])
    return replace(spec, life=life)


def _config(hooks: Sequence[str]) -> dict[str, Any]:
    told = config({"hooks": {stage: [{"path": "/bin/true"}] for stage in hooks}}, run="true")
    told["process"] |= {"scheduler": {"policy": "SCHED_BATCH"}, "oomScoreAdj": 900}
    told["linux"] |= {"devices": [{"path": "/dev/pipe", "type": "p"}]}
    if os.geteuid() != 0:
        told["mounts"] = [mount for mount in told["mounts"] if mount["type"] in ("proc", "tmpfs")]
        own = {"uidMappings": os.geteuid(), "gidMappings": os.getegid()}
        told["linux"] |= {name: [_one(number)] for name, number in own.items()}
        told["linux"]["namespaces"] += [{"type": "user"}]
        del told["linux"]["resources"]
    return told


def _one(host_id: int) -> dict[str, int]:
    return {"containerID": 0, "hostID": host_id, "size": 1}


class Mode(NamedTuple):
    """A way to begin: what is declared, which steps it takes, how it is called, who clones."""

    options: dict[str, Any]
    steps: Callable[[Spec, int], list[Step]]
    begin: Callable[[Spec], object]
    declare: Callable[[store.Image, dict[str, Any]], Spec] = _image
    cloner: bool = False


def _start(spec: Spec) -> None:
    with container.start(spec) as running:
        running.wait()


def _create(spec: Spec) -> None:
    with container.start(spec) as running:
        try:
            fifo = os.open(spec.start_fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.write(fifo, b"\0")
        except OSError:
            pass  # it has died, and nobody reads
        running.wait()
        raise_late(recipe(spec), Path(spec.start_failure).read_bytes())


def _start_created(spec: Spec) -> None:
    with container.start_created(Path(spec.state_dir)) as running:
        running.wait()


def _enter(spec: Spec) -> None:
    with container.enter(Path(spec.state_dir), spec.process) as started:
        started.wait()


def _whole(spec: Spec, pid: int) -> list[Step]:
    return recipe(spec)


def _kept(spec: Spec, pid: int) -> list[Step]:
    return [step for step in recipe(spec) if step.keeps]


def _not_kept(spec: Spec, pid: int) -> list[Step]:
    return [step for step in recipe(spec) if not step.keeps]


GOES = {"rm": True}  # nothing of it is to stay when it ends
# Without what takes more than calls in the child (labrt/calls.py).
VOLUMES = ("/etc:/host:ro",) if os.geteuid() == 0 else ()
CALLS = {**GOES, "tty": False, "init": False, "volume": VOLUMES, "tmpfs": ()}
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststop")
MODES = {
    "start": Mode(GOES, _whole, _start),
    "calls": Mode(CALLS, _whole, _start),
    "cloner": Mode(CALLS, _whole, _start, cloner=True),
    "privileged": Mode({**GOES, "privileged": True}, _whole, _start),
    "create": Mode({"detach": True}, _kept, container.create),
    "start_created": Mode({"detach": True}, _not_kept, _start_created),
    "exec": Mode(GOES, entering, _enter),
    "bridge": Mode(
        {
            **GOES,
            "network": "bridge",
            "publish": ("127.0.0.1:47123:80",),
            "add_host": ("db:10.0.0.7",),
        },
        _whole,
        _start,
    ),
    "bundle": Mode({"waits": False, "hooks": HOOKS}, _whole, _start, _bundle),
    "bundle_create": Mode({"waits": True, "hooks": HOOKS}, _whole, _create, _bundle),
    "bundle_calls": Mode({"waits": True, "hooks": ()}, _whole, _create, _bundle),
}


class Fault(NamedTuple):
    """What happens at a step: as code, and as calls."""

    code: Callable[[Step], None]
    calls: list[Call]


def at(index: int, steps: list[Step], fault: Fault) -> list[Step]:
    """Return the steps, one of which begins with a fault."""
    step, real, calls = steps[index], steps[index].do, steps[index].calls

    def do(context: Context) -> None:
        fault.code(step)
        step.calls = calls  # type: ignore[method-assign]  # once is enough
        real(context)

    def faulty_calls(context: Context) -> list[Call] | None:
        performed = calls(context)
        return None if performed is None else [*fault.calls, *performed]

    step.do = do  # type: ignore[method-assign]
    step.calls = faulty_calls  # type: ignore[method-assign]
    return steps


def fault_of(way: str, killer: tuple[int, int]) -> Fault:
    """Return what happens at the step: `killer` is a pipe to the driver and one from it."""

    def fail(step: Step) -> None:
        raise OSError(5, os.strerror(5))

    def die(step: Step) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
        os._exit(137)  # the first process of a pid namespace can't kill itself

    def orphan(step: Step) -> None:
        os.write(killer[0], b"k")
        os.read(killer[1], 1)

    return {
        "fail": Fault(fail, [refuse(5)]),
        "die": Fault(die, [call("leave")]),
        "orphan": Fault(
            orphan,
            [
                call("write", descriptor(killer[0]), b"k", 1),
                call("read", descriptor(killer[1]), scratch(), 1),
            ],
        ),
    }[way]


def attempt(mode: Mode, spec: Spec, index: int, fault: Fault) -> str | None:
    """In the launcher: begin, and return what it raised."""

    def faulty(spec: Spec) -> list[Step]:
        return at(where(recipe(spec), mode, spec, index), recipe(spec), fault)

    if mode.cloner:
        namespaces.clone_by(OwnCloner())
    container.recipe = faulty
    container.entering = lambda spec, pid: at(index, entering(spec, pid), fault)
    try:
        mode.begin(spec)
    except LabError as error:
        return str(error)
    return None


def where(whole: list[Step], mode: Mode, spec: Spec, index: int) -> int:
    """Return the place in the whole recipe of the mode's step number `index`."""
    if mode.steps is entering:
        return 0
    places = {_kept: (True,), _not_kept: (False,)}.get(mode.steps, (True, False))
    return [place for place, step in enumerate(whole) if step.keeps in places][index]


def children(but: int) -> list[int]:
    """Return this process's children that end by themselves: not `but`, and not pasta."""
    return [pid for pid in _children() if pid != but and not is_pasta(pid)]


def _children() -> list[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in text.split()]


def is_pasta(pid: int) -> bool:
    """Whether it is a living pasta(1), called "passt.avx2", which goes on until it is undone."""
    return state.birth(pid) > 0 and Path(f"/proc/{pid}/comm").read_text().startswith("passt")


def one(mode: Mode, spec: Spec, index: int, way: str, owner: int) -> str | None:
    """Begin once, with a fault; wait until every process has ended that it made."""
    told, killed, go_on = os.pipe(), os.pipe(), os.pipe()
    launcher = os.fork()
    if launcher == 0:
        for fd in (told[0], killed[0], go_on[1]):
            os.close(fd)
        raised = attempt(mode, spec, index, fault_of(way, (killed[1], go_on[0])))
        os.write(told[1], json.dumps(raised).encode())
        os._exit(0)
    for fd in (told[1], killed[1], go_on[0]):
        os.close(fd)
    if os.read(killed[0], 1):  # nothing: every process has closed it, or become the program
        os.kill(launcher, signal.SIGKILL)
        os.waitpid(launcher, 0)
        release(go_on[1])
    with os.fdopen(told[0]) as stream:
        text = stream.read()
    while pids := children(owner):
        os.waitpid(pids[0], 0)
    for fd in (killed[0], go_on[1]):
        os.close(fd)
    return json.loads(text) if text else "killed"


def release(child: int) -> None:
    try:
        os.write(child, b"g")
    except BrokenPipeError:
        pass  # it has died with its parent


def left(spec: Spec) -> list[str]:
    """Return what there still is of a container, by whatever it is known."""
    name, marks = state.names_dir() / spec.life.name, (spec.id, bridge_mark())
    found = {
        "folder": os.path.exists(spec.state_dir),
        "cgroup": bool(spec.cgroup) and cgroups.Cgroup(spec.cgroup).exists(),
        "hierarchies": any(map(os.path.exists, spec.own_hierarchies)),
        "name": name.is_symlink(),
        "mount": str(paths.home()) in Path("/proc/self/mountinfo").read_text(),
        "pasta": any(map(is_pasta, _children())),
        "network": any(paths.home().glob("networks/*")),
        "interface": any(mark in each for mark in marks for each in os.listdir("/sys/class/net")),
        "rule": spec.network is not None and spec.network.mode == "bridge" and spec.id in rules(),
        "lock": is_locked(Path(spec.state_dir)),
    }
    return [what for what, there in found.items() if there]


def bridge_mark() -> str:
    """What the name of this lab's default bridge ends in."""
    return f"-{zlib.crc32(bytes(paths.home() / 'bridge')):08x}"


def rules() -> str:
    with os.popen("nft list ruleset") as stream:
        return stream.read()


def is_locked(folder: Path) -> bool:
    try:
        lock = state.try_lock(folder)
    except FileNotFoundError:
        return False
    if lock is not None:
        os.close(lock)
    return lock is None


@contextmanager
def owned(spec: Spec) -> Iterator[tuple[int, int]]:
    """A process that owns the running container; its pid and that of the first process."""
    told, end = os.pipe(), os.pipe()
    owner = os.fork()
    if owner == 0:
        os.close(end[1])
        with container.start(spec) as running:
            os.write(told[1], str(running.pid).encode())
            select.select([end[0]], [], [])
        os._exit(0)
    yield owner, int(os.read(told[0], 20))
    for fd in (*told, *end):
        os.close(fd)
    os.waitpid(owner, 0)


def processes_beside(pid: int) -> list[int]:
    """Return who else is in the pid namespace of `pid`."""
    mine = os.stat(f"/proc/{pid}/ns/pid").st_ino
    found = []
    for entry in Path("/proc").glob("[0-9]*/ns/pid"):
        try:
            found += [int(entry.parts[2])] if os.stat(entry).st_ino == mine else []
        except OSError:
            pass  # it has ended, or is somebody else's
    return [each for each in found if each != pid]


def tell(step: Step, way: str, told: str | None, leftover: list[str]) -> None:
    print(json.dumps([step.name, way, told, leftover]), flush=True)


def ways_of(step: Step, ways: list[str]) -> list[str]:
    return [way for way in ways if way != "orphan" or step.side == "container"]


def drive_exec(mode: Mode, image: store.Image, ways: list[str]) -> None:
    chosen = options() | {"name": f"running-{os.getpid()}", "init": False, **mode.options}
    if os.geteuid() != 0:
        del chosen["oom_score_adj"]  # refused: who enters is shielded from its user's writes, too
    spec = declare(image, ["sleep", "1000"], **chosen)
    short = declare(image, ["true"], **(chosen | {"init": True})).process
    with owned(spec) as (owner, pid):
        target = Spec(**{**vars(spec), "process": short})
        for index, step in enumerate(entering(target, pid)):
            for way in ways_of(step, ways):
                signal.alarm(DEADLINE)
                told = one(mode, target, index, way, owner)
                tell(step, way, told, [f"process {each}" for each in processes_beside(pid)])
    assert left(spec) == [], "the container itself"


def drive(mode: Mode, image: store.Image, ways: list[str]) -> None:
    for index, step in enumerate(mode.steps(mode.declare(image, mode.options), 0)):
        for way in ways_of(step, ways):
            signal.alarm(DEADLINE)
            spec = mode.declare(image, mode.options)
            if mode.begin is _start_created:
                container.create(spec)
            told = one(mode, spec, index, way, 0)
            if way != "fail":
                removal.remove_dead()  # as the next command does
            if mode.begin is _start_created:
                assert Path(spec.state_dir).exists(), "a created container is kept"
                removal.remove(Path(spec.state_dir))
            tell(step, way, told, left(spec))


def main(name: str, ways: list[str]) -> None:
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    mode = MODES[name] if name in MODES else Mode({**GOES, **json.loads(name)}, _whole, _start)
    if mode.declare is _bundle:
        interpreter.run_sealed(_bundle(base.ensure("busybox"), mode.options))
    run = drive_exec if mode.begin is _enter else drive
    run(mode, base.ensure("busybox"), ways)
    cgroups.remove_top()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
