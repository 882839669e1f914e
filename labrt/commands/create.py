"""`labrt create IMAGE [CMD…]`: make a container that `labrt start` will start."""

from __future__ import annotations

import argparse
from dataclasses import replace

from labrt import container, removal
from labrt.commands.explain import container_arguments
from labrt.declare import declare
from labrt.images import store
from labrt.options import parsed

HELP = "make a container without starting it"


def arguments(parser: argparse.ArgumentParser) -> None:
    container_arguments(parser)


def main(options: argparse.Namespace) -> int:
    removal.remove_dead()
    wishes = replace(parsed(options), detach=True)
    spec = declare(store.resolve(options.image), options.args, wishes)
    container.create(spec)
    print(spec.id)
    return 0
