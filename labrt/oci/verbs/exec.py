"""`labrt-oci exec ID …`: one more process in a running container."""

from __future__ import annotations

import argparse
from pathlib import Path

from labrt import container, interpreter
from labrt.bundle import reading
from labrt.bundle.processes import process
from labrt.foreground import attend
from labrt.oci import handing, lifecycle

HELP = "run one more process in a running container"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-p", "--process", metavar="FILE", help="as config.json's process")
    parser.add_argument("-d", "--detach", action="store_true", help="don't wait for its end")
    parser.add_argument("--pid-file", metavar="FILE")
    parser.add_argument("--console-socket", metavar="SOCKET", help="takes the terminal")
    parser.add_argument("id", metavar="ID")
    parser.add_argument("args", metavar="CMD", nargs=argparse.REMAINDER)


def main(options: argparse.Namespace) -> int:
    folder, spec = lifecycle.demand_running(options.id, "exec in")
    interpreter.run_sealed(spec)
    asked = process(reading.file(Path(options.process)))
    entered = container.enter(folder, asked, detached=options.detach)
    handing.write_pid(options.pid_file, entered.pid)
    if options.detach:
        handing.send_terminal(options.console_socket, entered.master)
        return 0
    with entered:
        return attend(entered, interactive=True)
