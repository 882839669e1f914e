"""`labrt diff CONTAINER`: what makes it a container; with --files, what it has changed."""

from __future__ import annotations

import argparse
import json
from itertools import groupby

from labrt import state
from labrt.changes import changes
from labrt.differences import Difference, differences
from labrt.errors import LabError
from labrt.spec import Spec

HELP = "tell how a container differs from a plain process"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--files", action="store_true", help="which files it added, changed, deleted"
    )
    parser.add_argument("container", metavar="CONTAINER")


def main(options: argparse.Namespace) -> int:
    if options.files:
        found = changes(_spec(options.container))
        told = [{"kind": kind, "path": path} for kind, path in found]
        lines = [f"{kind} {path!a}" for kind, path in found]  # hostile names
    else:
        facts = differences(state.first_pid(options.container))
        told = [fact._asdict() for fact in facts]
        lines = _lines(facts)
    for line in [json.dumps(told, indent=2)] if options.json else lines:
        print(line)
    return 0


def _spec(name: str) -> Spec:
    record = state.read_record(state.find(name))
    if record is None:
        raise LabError(f"read what {name!r} has changed", "it is being made or removed")
    return record.spec


def _lines(facts: list[Difference]) -> list[str]:
    lines = []
    for group, members in groupby(facts, key=lambda fact: fact.group):
        lines += [group, *(_row(fact) for fact in members)]
    return lines


def _row(fact: Difference) -> str:
    return f"  {fact.what:26} {fact.plain}  →  {fact.container}"
