"""`labrt image VERB …`: each verb is a file of `image_verbs/`."""

from __future__ import annotations

import argparse
from importlib import import_module
from types import ModuleType

HELP = "list, tell, name, compare and remove images"
_VERBS = ("base", "diff", "gc", "history", "import", "inspect", "load", "ls", "rm", "save", "tag")


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    for name in _VERBS:
        verb = _verb(name)
        verb.arguments(verbs.add_parser(name, help=verb.HELP, description=verb.HELP))


def main(options: argparse.Namespace) -> int:
    status: int = _verb(options.verb).main(options)
    return status


def _verb(name: str) -> ModuleType:
    return import_module(f"labrt.commands.image_verbs.{name}")
