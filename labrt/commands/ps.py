"""`labrt ps`: the containers there are."""

from __future__ import annotations

import argparse
import json
import time

from labrt import removal
from labrt.handle import Handle, containers
from labrt.tables import ago, table

HELP = "list containers"
HEADINGS = ("ID", "NAME", "IMAGE", "COMMAND", "CREATED", "STATUS")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="also those that don't run")
    parser.add_argument("-q", "--quiet", action="store_true", help="only their ids")
    parser.add_argument("--json", action="store_true", help="as JSON, one line each")


def main(options: argparse.Namespace) -> int:
    removal.remove_dead()
    found = containers(options.all)
    if options.json:
        for handle in found:
            print(json.dumps(handle.inspect()))
    elif options.quiet:
        print("\n".join(handle.id for handle in found), end="\n" if found else "")
    else:
        print(table(HEADINGS, [_row(handle) for handle in found]), end="")
    return 0


def _row(handle: Handle) -> tuple[str, ...]:
    spec = handle.spec
    command = " ".join(spec.process.args)
    return (
        handle.id,
        spec.life.name if spec.life.name != handle.id else "",
        spec.life.image,
        command if len(command) <= 30 else f"{command[:29]}…",
        f"{ago(time.time() - spec.life.created)} ago",
        _status(handle),
    )


def _status(handle: Handle) -> str:
    now, state = handle.status, handle.state
    if state == "created":
        return "created"
    if state == "exited" and not now.finished:
        return "ending"
    if state == "exited":
        cause = ", out of memory" if now.oom_killed else ""
        code = "unknown" if now.exit_code is None else now.exit_code
        return f"exited ({code}{cause}) {ago(time.time() - now.finished)} ago"
    notes = [note for note in (now.health, "paused" if state == "paused" else "") if note]
    return f"up {ago(time.time() - now.started)}" + "".join(f" ({note})" for note in notes)
