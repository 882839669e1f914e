"""How far a run is and how long it will still take, on standard error.

On a terminal a bar; anywhere else (a log, a pipe) one line as each experiment begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from bench.plan import Planned


class TimeLeft:
    """An estimate: what is still to come, at the mean time that its like has taken so far."""

    def __init__(
        self, planned: list[Planned], known: Mapping[tuple[str, str, str], float] | None = None
    ) -> None:
        self._left = list(planned)
        self._took = {key: [seconds] for key, seconds in (known or {}).items()}

    def took(self, trial: Planned, duration: float | None) -> None:
        """Learn that a trial is over, and how long it took (None: it wasn't tried)."""
        self._left.remove(trial)
        if trial.sample >= 0 and duration is not None:
            self._took.setdefault(trial.key, []).append(duration)

    def seconds(self, elapsed: float = 0.0) -> float:
        """Return the estimate; `elapsed` seconds of the trial at hand are already over."""
        if not self._left:
            return 0.0
        expected = [self.expected(trial) for trial in self._left]
        return sum(expected) - min(elapsed, expected[0])

    def expected(self, trial: Planned) -> float:
        """Return how long a trial is expected to take: as its like, or a first guess."""
        if seen := self._took.get(trial.key):
            return sum(seen) / len(seen)
        return trial.guess * trial.experiment.starts(trial.subject)


class _LeftColumn(ProgressColumn):
    """The time left, as it is whenever the bar is drawn."""

    def __init__(self, seconds_left: Callable[[], float | None]) -> None:
        super().__init__()
        self._seconds_left = seconds_left

    def render(self, task: Task) -> Text:
        left = self._seconds_left()
        return Text("" if left is None else _about(left))


class Reporter:
    """`bench.runner.Progress` for people."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[count]}"),
            _LeftColumn(self.seconds_left),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("getting ready", total=None, count="")
        self._left = TimeLeft([])
        self._began: float | None = None
        self._said: set[str] = set()
        self._done = 0
        self._total = 0
        self._at_once = 1

    def begin(self, planned: list[Planned], at_once: int = 1) -> None:
        self._left = TimeLeft(planned)
        self._at_once = at_once
        self._total = len(planned)
        self._bar.update(self._task, total=self._total)
        self._show()

    def doing(self, trial: Planned) -> None:
        self._began = time.monotonic()
        what = "warm-up" if trial.sample < 0 else trial.experiment.name
        self._bar.update(self._task, description=f"{what}: {trial.subject.title}")
        if not self._console.is_terminal and what not in self._said:
            self._said.add(what)
            left = _about(self._left.seconds() / self._at_once)
            self._console.print(f"{what} … {left}", highlight=False)

    def done(self, trial: Planned, took: float | None = None) -> None:
        if took is None and self._began is not None:
            took = time.monotonic() - self._began
        self._left.took(trial, took)
        self._began = None
        self._done += 1
        self._bar.advance(self._task)
        self._show()

    def note(self, text: str) -> None:
        """Say something that stays on the screen."""
        self._console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def _show(self) -> None:
        self._bar.update(self._task, count=f"{self._done}/{self._total}")

    def seconds_left(self) -> float | None:
        """Return the estimate at this moment, or None before the run has begun."""
        if self._total == 0:
            return None
        began = 0.0 if self._began is None else time.monotonic() - self._began
        return self._left.seconds(began) / self._at_once

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
