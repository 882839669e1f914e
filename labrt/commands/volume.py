"""`labrt volume create|ls|rm|inspect|prune`."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime

from labrt import volume_store
from labrt.binds import make_volume
from labrt.errors import LabError
from labrt.volumes import named

HELP = "make, list and remove named volumes"


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    verbs.add_parser("create", help="make one").add_argument("names", metavar="NAME", nargs=1)
    verbs.add_parser("ls", help="list them")
    for verb, what in (("rm", "remove"), ("inspect", "tell as JSON about")):
        verbs.add_parser(verb, help=f"{what} some").add_argument("names", metavar="NAME", nargs="+")
    prune = verbs.add_parser("prune", help="remove all that no container has")
    prune.add_argument("-f", "--force", action="store_true", help="do it, don't only list them")


def main(options: argparse.Namespace) -> int:
    _VERBS[options.verb](options)
    return 0


def _create(options: argparse.Namespace) -> None:
    make_volume(named(options.names[0]))
    print(options.names[0])


def _ls(options: argparse.Namespace) -> None:
    for name in volume_store.names():
        print(name)


def _rm(options: argparse.Namespace) -> None:
    for name in options.names:
        volume_store.remove(name)
        print(name)


def _inspect(options: argparse.Namespace) -> None:
    print(json.dumps([_facts(name) for name in options.names], indent=2))


def _facts(name: str) -> dict[str, object]:
    folder = volume_store.find(name)
    made = datetime.fromtimestamp(folder.stat().st_ctime, UTC)
    return {
        "Name": name,
        "Mountpoint": str(folder),
        "CreatedAt": made.isoformat(timespec="seconds"),
        "UsedBy": volume_store.users(name),
    }


def _prune(options: argparse.Namespace) -> None:
    unused = [name for name in volume_store.names() if not volume_store.users(name)]
    if unused and not options.force:
        raise LabError(
            f"remove {', '.join(unused)}",
            "what is in them would be lost",
            remedy="labrt volume prune --force",
        )
    for name in unused:
        volume_store.remove(name)
        print(name)


_VERBS = {"create": _create, "ls": _ls, "rm": _rm, "inspect": _inspect, "prune": _prune}
