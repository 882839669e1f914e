"""`labrt explain IMAGE [CMD…]`: the recipe as text, before anything happens."""

from __future__ import annotations

import argparse
import sys

from labrt.declare import declare
from labrt.images import store
from labrt.options import add_arguments, parsed
from labrt.spec import Spec
from labrt.telling import explanation, explanation_json

HELP = "print the steps that would be done; do nothing"


def container_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what declares a container: every option, the image, the command."""
    add_arguments(parser)
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("args", metavar="CMD", nargs=argparse.REMAINDER)


def declared(options: argparse.Namespace) -> Spec:
    """Return the container that those arguments declare."""
    return declare(store.resolve(options.image), options.args, parsed(options))


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")
    container_arguments(parser)


def main(options: argparse.Namespace) -> int:
    tell = explanation_json if options.json else explanation
    sys.stdout.write(tell(declared(options)))
    return 0
