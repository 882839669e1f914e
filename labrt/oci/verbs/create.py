"""`labrt-oci create ID`: make a bundle's container; its program waits for `start`."""

from __future__ import annotations

import argparse
from pathlib import Path

from labrt import interpreter
from labrt.bundle import reading
from labrt.bundle.declaring import declare
from labrt.oci import handing, lifecycle

HELP = "make a bundle's container; its program waits for start"


def bundle_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what declares a container."""
    parser.add_argument("-b", "--bundle", metavar="DIR", default=".", help="default: this folder")
    parser.add_argument("--pid-file", metavar="FILE")
    parser.add_argument("--console-socket", metavar="SOCKET", help="takes the terminal")
    parser.add_argument("id", metavar="ID")


def arguments(parser: argparse.ArgumentParser) -> None:
    bundle_arguments(parser)


def main(options: argparse.Namespace) -> int:
    bundle = Path(options.bundle).resolve()
    spec = declare(options.id, bundle, reading.config(bundle))
    interpreter.run_sealed(spec)
    running = lifecycle.create(spec)
    try:
        handing.send_terminal(options.console_socket, running.master)
        handing.write_pid(options.pid_file, running.pid)
    except BaseException:
        running.kill()
        lifecycle.delete(spec.id, force=True)
        raise
    return 0
