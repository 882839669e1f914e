"""How far a run is and how long it will still take, on standard error.

On a terminal a bar; anywhere else (a log, a pipe) one line as each experiment begins.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from bench.runner import Planned

# First guesses, seconds, by (kind, experiment repeats); replaced by what this run has measured.
_GUESS = {"vm": 3.0, "container": 0.1, "process": 0.1}
_GUESS_RAMP = {"vm": 13.0, "container": 5.0, "process": 5.0}


class TimeLeft:
    """An estimate: what is still to come, at the mean time that its like has taken so far."""

    def __init__(self, planned: list[Planned]) -> None:
        self._left = list(planned)
        self._took: dict[tuple[str, str], list[float]] = {}

    def took(self, trial: Planned, duration: float | None) -> None:
        """Learn that a trial is over, and how long it took (None: it wasn't tried)."""
        self._left.remove(trial)
        if trial.sample >= 0 and duration is not None:
            self._took.setdefault(trial.key, []).append(duration)

    def seconds(self) -> float:
        """Return the estimate."""
        return sum(self._expected(trial) for trial in self._left)

    def _expected(self, trial: Planned) -> float:
        if seen := self._took.get(trial.key):
            return sum(seen) / len(seen)
        guesses = _GUESS if trial.experiment.repeats else _GUESS_RAMP
        return guesses.get(trial.subject.kind, 1.0)


class Reporter:
    """`bench.runner.Progress` for people."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("getting ready", total=None, left="")
        self._left = TimeLeft([])
        self._began: float | None = None
        self._said: set[str] = set()

    def begin(self, planned: list[Planned]) -> None:
        self._left = TimeLeft(planned)
        self._bar.update(self._task, total=len(planned))
        self._show()

    def doing(self, trial: Planned) -> None:
        self._began = time.monotonic()
        what = "warm-up" if trial.sample < 0 else trial.experiment.name
        self._bar.update(self._task, description=f"{what}: {trial.subject.title}")
        if not self._console.is_terminal and what not in self._said:
            self._said.add(what)
            self._console.print(f"{what} … {_about(self._left.seconds())}", highlight=False)

    def done(self, trial: Planned) -> None:
        took = None if self._began is None else time.monotonic() - self._began
        self._left.took(trial, took)
        self._began = None
        self._bar.advance(self._task)
        self._show()

    def note(self, text: str) -> None:
        """Say something that stays on the screen."""
        self._console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def _show(self) -> None:
        self._bar.update(self._task, left=_about(self._left.seconds()))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


def _about(seconds: float) -> str:
    return f"about {seconds:.0f} s left" if seconds >= 1 else "nearly done"
