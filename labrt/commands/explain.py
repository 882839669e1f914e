"""`labrt explain IMAGE [CMD…]`, `labrt explain --bundle DIR`: the recipe as text, before anything
happens."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import store
from labrt.options import Options, add_arguments, parsed
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
    parser.add_argument("--calls", action="store_true", help="the child's system calls, too")
    parser.add_argument("--bundle", metavar="DIR", help="of an OCI bundle, in place of an image")
    add_arguments(parser)
    parser.add_argument("image", metavar="IMAGE", nargs="?")
    parser.add_argument("args", metavar="CMD", nargs=argparse.REMAINDER)


def main(options: argparse.Namespace) -> int:
    tell = explanation_json if options.json else explanation
    spec = _bundled(options) if options.bundle else _imaged(options)
    sys.stdout.write(tell(spec, options.calls))
    return 0


def _imaged(options: argparse.Namespace) -> Spec:
    if options.image is None:
        raise LabError("explain a container", "neither an image nor --bundle was named")
    return declared(options)


def _bundled(options: argparse.Namespace) -> Spec:
    from labrt.bundle import declaring, reading

    if options.image or parsed(options) != Options():
        answer = "a bundle says all of it itself"
        raise LabError("explain a bundle with an image or options besides", answer)
    bundle = Path(options.bundle).resolve()
    return declaring.declare("explained", bundle, reading.config(bundle))
