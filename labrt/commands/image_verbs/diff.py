"""`labrt image diff BEFORE AFTER`: which files differ, and which layers two images share."""

from __future__ import annotations

import argparse
import json

from labrt.images import store
from labrt.images.comparing import Change, Comparison, compare
from labrt.images.store import Descriptor
from labrt.tables import size

HELP = "tell how an image differs from another"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("before", metavar="BEFORE", help="a name or a digest")
    parser.add_argument("after", metavar="AFTER", help="a name or a digest")


def main(options: argparse.Namespace) -> int:
    found = compare(store.resolve(options.before), store.resolve(options.after))
    print(json.dumps(_json(found), indent=2) if options.json else _text(found))
    return 0


def _json(found: Comparison) -> dict[str, object]:
    layers = {
        name: [layer.to_json() for layer in value]
        for name, value in found._asdict().items()
        if name != "changes"
    }
    return {**layers, "changes": [change._asdict() for change in found.changes]}


def _text(found: Comparison) -> str:
    lines = [_line(change) for change in found.changes]
    added = sum(change.after for change in found.changes if change.kind != "D")
    removed = sum(change.before for change in found.changes if change.kind == "D")
    count = len(found.changes)
    lines += [
        f"{count} files differ: {size(added)} added or changed, {size(removed)} deleted",
        f"layers of both: {_sum(found.shared)}",
        f"layers of one alone: {_sum(found.only_before)} before, {_sum(found.only_after)} after",
    ]
    return "\n".join(lines)


def _line(change: Change) -> str:
    return f"{change.kind} {change.path!a} {change.before} → {change.after}"  # hostile names


def _sum(layers: list[Descriptor]) -> str:
    return f"{len(layers)} ({size(sum(layer.size for layer in layers))})"
