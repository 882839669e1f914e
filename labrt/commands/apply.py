"""`labrt apply FILE`: make true what a file declares."""

from __future__ import annotations

import argparse
import json

from labrt import removal
from labrt.applying import Change, changes, do, read

HELP = "make true what a file declares: again, it changes nothing"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="TOML; a table is a container: docs/life.md")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only tell what would change")
    parser.add_argument("--remove", action="store_true", help="remove all containers of this file")
    parser.add_argument("--json", action="store_true", help="as JSON, one line each")


def main(options: argparse.Namespace) -> int:
    removal.remove_dead()
    wanted = {} if options.remove else read(options.file)
    for change in changes(options.file, wanted):
        if not options.dry_run:
            do(change)
        print(_as_json(change) if options.json else change, flush=True)
    return 0


def _as_json(change: Change) -> str:
    told = {"name": change.name, "deed": change.deed, "differs": change.differs}
    return json.dumps(told, default=vars)
