"""How long it takes to load and to summarise many observations, and what memory it takes.

    python -m bench.load_cost [--rows 1000000] [--json]

The rows are made up (log-normal starts of four subjects, one in a thousand failed), written to a
file as a run writes them, and read as a notebook reads them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bench
from bench import standalone, units
from bench.observations import ROWS, Observation
from bench.tables import Table

SUBJECTS = {"process": 0.002, "labrt": 0.005, "runc": 0.02, "vm": 1.3}  # median start, seconds
PHASES = {"T0-T1": 0.2, "T1-T2": 0.5, "T2-T3": 0.3, "T0-T3": 1.0}  # share of a start
FAILED = 0.001
CONDITIONS: dict[str, Any] = {
    "image": "busybox",
    "digest": "sha256:" + "ab" * 32,
    "cpus": 1.0,
    "memory": 256 * 2**20,
    "workload": "ready",
    "accelerator": "tcg",
    "host": "0123456789ab",
    "seed": 1,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.load_cost")
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N", help="observations")
    return standalone.main(parser, _measured)


def _measured(options: argparse.Namespace) -> tuple[dict[str, float], Table]:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / ROWS, options.rows)
        found = measure(Path(folder))
    return found, table(options.rows, found)


def write(file: Path, count: int) -> None:
    """Write so many rows."""
    with file.open("w") as stream:
        for row in rows(count):
            stream.write(json.dumps(asdict(row), separators=(",", ":")) + "\n")


def rows(count: int) -> Iterator[Observation]:
    """Make up rows; the same ones each time."""
    drawn = random.Random(1)
    trials = ((order, name) for order in range(count) for name in SUBJECTS)
    made = (row for order, name in trials for row in _trial(order, name, drawn))
    for _, row in zip(range(count), made, strict=False):
        yield row


def _trial(order: int, subject: str, drawn: random.Random) -> Iterator[Observation]:
    took = SUBJECTS[subject] * drawn.lognormvariate(0, 0.2)
    for phase, share in PHASES.items():
        failed = drawn.random() < FAILED
        yield Observation(
            run="made-up",
            subject=subject,
            experiment="startup",
            sample=order,
            phase=phase,
            metric="time",
            unit="s",
            value=None if failed else took * share,
            status="failed" if failed else "ok",
            reason="30 s passed before the mark lab:ready" if failed else "",
            conditions=CONDITIONS
            | {
                "kind": {"vm": "vm", "process": "process"}.get(subject, "container"),
                "title": subject,
                "machine": "q35" if subject == "vm" else "host",
                "order": order * len(SUBJECTS) + list(SUBJECTS).index(subject),
                "posture": "as made up",
            },
            at=1e9 + order,
        )


def measure(folder: Path) -> dict[str, float]:
    """Load and summarise a run.

    Returns:
        Seconds "load" and "summarise", and "cpu" of both together (what it takes where nothing else
        runs); bytes "file", "frame" and "peak" (of the whole process).
    """
    for name in ("pandas", "pyarrow.json", "scipy.stats"):
        importlib.import_module(name)  # which is no part of it
    begun, cpu = time.perf_counter(), time.process_time()
    frame = bench.load(folder)
    loaded = time.perf_counter()
    bench.summarise(frame)
    return {
        "load": loaded - begun,
        "summarise": time.perf_counter() - loaded,
        "cpu": time.process_time() - cpu,
        "file": (folder / ROWS).stat().st_size,
        "frame": int(frame.memory_usage(deep=True).sum()),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def table(count: int, found: dict[str, float]) -> Table:
    """Return the figures as a table."""
    written = {key: units.text(found[key], "s") for key in ("load", "summarise", "cpu")}
    written |= {key: units.text(found[key], "B") for key in ("file", "frame", "peak")}
    return Table(f"{count} observations", ["", *written], [["", *written.values()]])


if __name__ == "__main__":
    raise SystemExit(main())
