"""`labrt explain IMAGE [CMD…]`: the recipe as text, before anything happens."""

from __future__ import annotations

import argparse
import sys

from labrt.declare import declare
from labrt.images import store
from labrt.options import add_arguments, parsed
from labrt.recipe import recipe
from labrt.spec import Spec

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
    container_arguments(parser)


def main(options: argparse.Namespace) -> int:
    sys.stdout.write(explanation(declared(options)))
    return 0


def explanation(spec: Spec) -> str:
    """Return the recipe as text: each step's number, side, name, man page, action and reason."""
    lines = []
    for number, step in enumerate(recipe(spec), start=1):
        lines.append(f"{number:3} {step.side:9} {step.name:24} {step.man}")
        lines.append(f"              {step.describe()}")
        lines.append(f"              why: {step.reason}")
    return "\n".join(lines) + "\n"
