"""`labrt exec CONTAINER CMD…`: one more process in a running container."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from labrt import container, interpreter
from labrt.declare import entered
from labrt.errors import LabError
from labrt.foreground import attend, stdio
from labrt.handle import find
from labrt.options import add_arguments, parsed
from labrt.spec import Process

HELP = "run one more program in a running container"
OPTIONS = ("env", "workdir", "user", "interactive", "tty", "detach", "privileged")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser, only=OPTIONS)
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("args", metavar="CMD", nargs=argparse.REMAINDER)


def main(options: argparse.Namespace) -> int:
    handle = find(options.container)
    interpreter.run_sealed(handle.spec)
    process = entered(handle.spec, options.args, parsed(options))
    if options.detach:
        return _leave(handle.folder, process)
    with (
        stdio(options.interactive) as chosen,
        container.enter(handle.folder, process, chosen) as running,
    ):
        return attend(running, options.interactive)


def _leave(folder: Path, process: Process) -> int:
    if process.terminal:
        raise LabError("detach a process from its terminal", "nobody would hold its other end")
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    container.enter(folder, process, (null, null, null), detached=True)
    return 0
