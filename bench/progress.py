"""How far a run is and how long it will still take, on standard error.

On a terminal a bar; anywhere else (a log, a pipe) one line as each experiment begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from bench.course import LEAST_ROUNDS
from bench.plan import Planned


class TimeLeft:
    """An estimate: what is still to come, at the mean time that its like has taken so far.

    Args:
        limit: seconds after which no round begins (`Settings.round_seconds`); None: all rounds are
            done. Where several hosts share the rounds, of all of them together.
    """

    def __init__(
        self,
        planned: list[Planned],
        known: Mapping[tuple[str, str, str], float] | None = None,
        limit: float | None = None,
    ) -> None:
        self._left = list(planned)
        self._took = {key: [seconds] for key, seconds in (known or {}).items()}
        self._limit = limit
        self._over = 0.0  # seconds that trials in rounds have taken
        self._round = 0  # the one that is under way

    def took(self, trial: Planned, duration: float | None) -> None:
        """Learn that a trial is over, and how long it took (None: it wasn't tried)."""
        self._left.remove(trial)
        if duration is not None and trial.experiment.repeats:
            self._over += duration
            self._round = trial.sample
        if trial.sample >= 0 and duration is not None:
            self._took.setdefault(trial.key, []).append(duration)

    def seconds(self, elapsed: float = 0.0) -> float:
        """Return the estimate; `elapsed` seconds of the trial at hand are already over."""
        expected = [seconds for _, seconds in self._to_come()]
        return sum(expected) - min(elapsed, expected[0]) if expected else 0.0

    def to_come(self) -> list[Planned]:
        """Return the trials that will be done: a round that would begin too late is left out."""
        return [trial for trial, _ in self._to_come()]

    def _to_come(self) -> Iterator[tuple[Planned, float]]:
        """Yield each of them with what it is expected to take."""
        alike: dict[tuple[str, str, str], float] = {}  # asked once: there may be a thousand trials
        begun, latest, late = self._over, self._round, False
        for trial in self._left:
            key = trial.key
            if key not in alike:
                alike[key] = self.expected(trial)
            if trial.experiment.repeats:
                if trial.sample != latest:
                    latest = trial.sample
                    late = self._limit is not None and begun > self._limit
                if late and trial.sample >= LEAST_ROUNDS:
                    continue
                begun += alike[key]
            yield trial, alike[key]

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
            refresh_per_second=2,  # it draws on the CPUs that are measured
        )
        self._task: TaskID = self._bar.add_task("getting ready", total=None, count="")
        self._left = TimeLeft([])
        self._began: float | None = None
        self._said: set[str] = set()
        self._done = 0
        self._total = 0
        self._at_once = 1

    def begin(self, planned: list[Planned], limit: float | None = None, at_once: int = 1) -> None:
        self._left = TimeLeft(planned, limit=None if limit is None else limit * at_once)
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
