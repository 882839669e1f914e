"""Another host, played by a process that has a LAB_HOME and a run folder of its own.

It begins with an empty store, so what an image takes to get there can be measured, and the user's
own store isn't touched. The host does one thing at a time, as it is told by a line of JSON, and
answers how many seconds that took; it ends, and takes down what it runs, when its input does.

    python -m bench.other_host SUBJECT [CONNECTION]    (the other side of the pipes)
"""

from __future__ import annotations

import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from bench import accelerator, guest_kernel
from bench.subjects.base import Subject, Workload
from labrt import paths, state
from labrt.errors import LabError

ROOT = Path(__file__).parent.parent
LAST_SECONDS = 30.0  # that it may take to end
CONTAINERFILE = "FROM {base}\nCOPY program /srv/program\n"
PROGRAM = "echo version {number}\n"


def homes() -> Path:
    """Return where the other hosts' folders are: on the file system that the lab's own store is
    on, so that both are equally fast."""
    return paths.home() / "hosts"


class OtherHost:
    """One, for a subject. Leaving the `with` block removes it.

    Args:
        connection: as the subject takes it.
    """

    def __init__(self, subject: str, connection: str | None = None) -> None:
        self._name = secrets.token_hex(4)
        self._home, self._run = homes() / self._name, paths.run_dir() / f"host-{self._name}"
        paths.make_passable(self._home)
        self._lock = state.try_lock(self._home)
        assert self._lock is not None, "nobody else knows its name"
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bench.other_host",
                subject,
                *([connection] if connection else []),
            ],
            env={**os.environ, **environment(self._home, self._run), **_of_guests()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[self._lock],  # held as long as either lives
            process_group=0,
        )

    def ask(self, what: str, timeout: float = 60.0, **arguments: Any) -> dict[str, Any]:
        """Have it do something (a method of `Host`); return its answer, with `took` in seconds.

        Raises:
            LabError: it couldn't, died, or `timeout` seconds passed.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer's absence tells
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            told = "it died" if ready else f"no answer within {timeout:g} s"
            raise LabError(f"{what} on another host", told)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LabError(f"{what} on another host", answer["error"])
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(LAST_SECONDS)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        assert self._lock is not None
        os.close(self._lock)
        remove(self._home, self._run, clean=self._process.returncode != 0)


def environment(home: Path, run: Path) -> dict[str, str]:
    """Return what makes a process's lab that of another host."""
    python = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {"LAB_HOME": str(home), "LAB_RUN": str(run), "PYTHONPATH": python}


def _of_guests() -> dict[str, str]:
    """What this host knows of guests, and another one needn't find out: kernel and accelerator."""
    try:
        return {
            "LAB_KERNEL": str(guest_kernel.find_kernel().path),
            "LAB_ACCEL": accelerator.verdict().accelerator,
        }
    except LabError:
        return {}  # then no guest asks for it


def remove(home: Path, run: Path, clean: bool) -> None:
    """Remove a host's folders; with `clean`, first what may still run there."""
    if clean:
        command = [sys.executable, "-m", "bench.clean"]
        null = subprocess.DEVNULL
        subprocess.run(command, env={**os.environ, **environment(home, run)}, stdout=null)
    for folder in (run, home):
        if folder.exists():
            state.remove_tree(folder)


def remove_leftovers() -> list[str]:
    """Remove the hosts that a killed bench has left; return their names."""
    found = []
    for home in sorted(homes().glob("*")):
        lock = state.try_lock(home)
        if lock is not None:
            os.close(lock)
            remove(home, paths.run_dir() / f"host-{home.name}", clean=True)
            found.append(home.name)
    return found


# ---------------------------------------------------------------------------------------------
# On the other host


class Host:
    """What it can be told to do."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def load(self, file: str) -> dict[str, Any]:
        """Take in the base image."""
        from labrt.images import interchange

        return _timed(lambda: interchange.load(file))

    def open(self) -> dict[str, Any]:
        """Be a host that is up: the launcher waits, libvirt is connected."""
        return _timed(self._subject.open)

    def pack(self, base: str, number: int, name: str) -> dict[str, Any]:
        """Make a version of the program on top of `base`, and of it what travels."""
        from labrt.building.builder import Wish, build

        with tempfile.TemporaryDirectory(prefix="lab-context-") as folder:
            write_version(Path(folder), base, number)
            return _timed(lambda: self._subject.pack(build(Wish(Path(folder), name)), name))

    def push(self, name: str) -> dict[str, Any]:
        """Send it to the registry; `sent` says how many bytes that took."""
        from labrt.images import registry, store

        image = store.resolve(name)
        begun = time.perf_counter()
        sent = registry.push(image).sent
        return {"took": time.perf_counter() - begun, "sent": sent}

    def pull(self, name: str) -> dict[str, Any]:
        from labrt.images import registry

        return _timed(lambda: registry.pull(name))

    def unpack(self, name: str, workload: dict[str, Any]) -> dict[str, Any]:
        """Make what has come ready to start."""
        from labrt.images import store

        image = store.resolve(name)
        told = {**workload, "image": name, "digest": image.digest}
        self._workload = Workload(**{**told, "command": tuple(workload["command"])})
        return _timed(lambda: self._subject.unpack(image, self._workload))

    def contents(self, name: str) -> dict[str, Any]:
        """Say what it holds, in bytes by kind, as it lies on this host."""
        from labrt.images import store

        return {"contents": self._subject.contents(store.resolve(name))}

    def start(self, deadline: float) -> dict[str, Any]:
        """Start one, and take it down again; `took` is the time from the call to ready."""
        with self._subject.start(self._workload, f"lab-host-{secrets.token_hex(3)}") as instance:
            instance.wait_ready(deadline)
            stamps = instance.stamps
        assert stamps.t0 is not None and stamps.t3 is not None, "it was ready"
        return {"took": (stamps.t3 - stamps.t0) / 1e9}


def write_version(folder: Path, base: str, number: int) -> None:
    """Write the context of a version of the program: one file on top of `base`, of one line."""
    (folder / "Containerfile").write_text(CONTAINERFILE.format(base=base))
    (folder / "program").write_text(PROGRAM.format(number=number))


def _timed(call: Callable[[], object]) -> dict[str, Any]:
    begun = time.perf_counter()
    call()
    return {"took": time.perf_counter() - begun}


def main() -> int:
    """Serve until the input ends."""
    from bench import subjects

    name, *connection = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what others print is no answer
    with subjects.make(name, connection=next(iter(connection), None)) as subject:
        host = Host(subject)
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                answer = getattr(host, asked.pop("do"))(**asked)
            except Exception as error:  # who asked can tell it, and asks on
                answer = {"error": " ".join(str(error).split()) or type(error).__name__}
            print(json.dumps(answer), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
