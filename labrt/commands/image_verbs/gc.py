"""`labrt image gc`: free what no image, container or build needs any more."""

from __future__ import annotations

import argparse

from labrt.images import garbage
from labrt.tables import size

HELP = "remove what no image and no container needs"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--dry-run", action="store_true", help="only tell what would go")
    parser.add_argument("-a", "--all", action="store_true", help="the build cache, too")


def main(options: argparse.Namespace) -> int:
    found = garbage.collect(cache=options.all, dry_run=options.dry_run)
    for each in found:
        print(f"{each.kind:12} {each.path.name[:32]:32} {size(each.size)}")
    verb = "would be freed" if options.dry_run else "freed"
    print(f"{size(sum(each.size for each in found))} {verb}")
    return 0
