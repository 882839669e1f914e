"""Engines as the tests call them: by their command lines, each with storage of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from labrt import paths

Done = subprocess.CompletedProcess[str]


class Engine:
    """A command and the options that come before everything else."""

    def __init__(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """`folder` is where it is called: where memory runs out conmon leaves a file `oom`."""
        self.command: Sequence[str] = command
        self.folder = folder or paths.run_dir()
        self.environment = {**os.environ, **(environment or {})}

    def __call__(self, *words: str, seconds: float = 60, given: str | None = None) -> Done:
        how = {"input": given} if given is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(
            [*self.command, *words],
            capture_output=True,
            text=True,
            timeout=seconds,
            env=self.environment,
            cwd=self.folder,
            **how,  # type: ignore[call-overload]
        )

    def ok(self, *words: str, seconds: float = 60, given: str | None = None) -> str:
        """Call it for what must succeed; return what it wrote."""
        done = self(*words, seconds=seconds, given=given)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def on_a_terminal(self, *words: str, typed: str) -> str:
        """Call it on a terminal, type something, and return what the terminal shows."""
        import pty

        pid, master = pty.fork()
        if pid == 0:
            os.execvpe(self.command[0], [*self.command, *words], self.environment)
        os.write(master, typed.encode())
        shown = b""
        try:
            while data := os.read(master, 4096):
                shown += data
        except OSError:
            pass  # EIO: nobody has its other end any more
        os.close(master)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, shown.decode()
        return shown.decode()


def podman_conf(folder: Path, program: Path, ulimits: Sequence[str] = ()) -> Path:
    """Write a containers.conf(5) that has Podman use `program`, by cgroupfs; return its path."""
    file = folder / "containers.conf"
    file.write_text(
        f"""[containers]
default_ulimits = {list(ulimits)}
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "labrt"
[engine.runtimes]
labrt = ["{program}"]
"""
    )
    return file
