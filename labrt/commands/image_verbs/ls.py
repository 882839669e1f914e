"""`labrt image ls`, `labrt images`."""

from __future__ import annotations

import argparse
import json
import sys

from labrt.errors import LabError
from labrt.images import naming, store
from labrt.images.store import Entry
from labrt.tables import size, table

HELP = "list the images"
_HEADINGS = ("NAME", "DIGEST", "SIZE", "LAYERS")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="only their digests")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def main(options: argparse.Namespace) -> int:
    entries = sorted(store.entries())
    if options.quiet:
        print("".join(f"{digest}\n" for digest in dict.fromkeys(e.digest for e in entries)), end="")
        return 0
    rows = [row for row in map(_row, entries) if row]
    if options.json:
        print("".join(f"{json.dumps(row)}\n" for row in rows), end="")
    else:
        print(table(_HEADINGS, [_cells(row) for row in rows]), end="")
    return 0 if len(rows) == len(entries) else 1


def _row(entry: Entry) -> dict[str, object] | None:
    """What is listed of an image, None and a line of its own if it is damaged."""
    try:
        image = store.load(entry.name, entry.digest)
    except LabError as error:
        print(f"labrt: {entry.name or entry.digest}: {error}", file=sys.stderr)
        return None
    return {
        "name": entry.name,
        "digest": entry.digest,
        "size": sum(layer.size for layer in image.layers),
        "layers": len(image.layers),
    }


def _cells(row: dict[str, object]) -> list[str]:
    name, digest, count, layers = row.values()
    assert isinstance(count, int)
    return [str(name) or "<none>", naming.short(str(digest)), size(count), str(layers)]
