"""`labrt stats [CONTAINER…]`: what containers use, again and again."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict

from labrt.errors import LabError
from labrt.handle import Handle, containers, find
from labrt.tables import size, table
from labrt.usage import Usage

HELP = "show what containers use"
HEADINGS = ("NAME", "CPU", "MEMORY", "LIMIT", "PIDS", "READ", "WRITTEN", "MEMORY STALLED")
FIRST_SECONDS = 0.2  # a rate takes two readings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("containers", metavar="CONTAINER", nargs="*", help="default: all that run")
    parser.add_argument("--no-stream", action="store_true", help="once")
    parser.add_argument("--interval", metavar="SECONDS", type=float, default=1.0)
    parser.add_argument("--json", action="store_true", help="one line per container and reading")


def main(options: argparse.Namespace) -> int:
    chosen = [find(name) for name in options.containers]
    before = _readings(chosen or containers())
    pause = FIRST_SECONDS
    while True:
        time.sleep(pause)
        now = _readings(chosen or containers())
        _show(before, now, options)
        if options.no_stream or (chosen and not now):
            return 0
        before, pause = now, options.interval


def _readings(handles: list[Handle]) -> dict[str, Usage]:
    """Read each by its name; who has ended meanwhile, or has no cgroup, is left out."""
    read = {}
    for handle in handles:
        try:
            read[handle.spec.life.name] = handle.usage()
        except LabError as error:
            if handle.folder.exists() and handle.state == "running":
                raise error
    return read


def _show(before: dict[str, Usage], now: dict[str, Usage], options: argparse.Namespace) -> None:
    if options.json:
        for name, usage in now.items():
            told = {"name": name, "cpu_percent": _cpu(before.get(name), usage), **asdict(usage)}
            print(json.dumps(told), flush=True)
        return
    if sys.stdout.isatty() and not options.no_stream:
        print("\033[H\033[J", end="")  # home, and clear what follows (console_codes(4))
    rows = [_row(name, before.get(name), usage) for name, usage in now.items()]
    print(table(HEADINGS, rows), end="", flush=True)


def _cpu(before: Usage | None, now: Usage) -> float | None:
    """Return the CPU time between two readings, in percent of one CPU."""
    if before is None or before.cpu_usec is None or now.cpu_usec is None:
        return None
    return (now.cpu_usec - before.cpu_usec) / 1e4 / (now.time - before.time)


def _row(name: str, before: Usage | None, now: Usage) -> tuple[str, ...]:
    cpu = _cpu(before, now)
    stalled = now.pressure.get("memory")
    return (
        name,
        "–" if cpu is None else f"{cpu:.1f} %",
        size(now.memory),
        "none" if now.memory_max is None else size(now.memory_max),
        "–" if now.pids is None else str(now.pids),
        size(now.read_bytes),
        size(now.written_bytes),
        "–" if stalled is None else f"{stalled.some.avg10:.1f} %",
    )
