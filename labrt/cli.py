"""The command line: `labrt run`, `labrt explain`, `labrt image`, `labrt clean`.

It is single-threaded, so it clones for itself. Options are spelled as Docker and Podman spell them,
and so are the exit statuses: the program's own, 128 + N if signal N ended it, 125 if the container
could not be made, 126 if the program can't be executed, 127 if the image hasn't got it.
"""

from __future__ import annotations

import argparse
import errno
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from labrt import container, removal
from labrt.container import NOT_EXECUTABLE, NOT_FOUND, NOT_STARTED, Started
from labrt.declare import declare
from labrt.errors import LabError, errno_text
from labrt.images import base, store
from labrt.options import add_arguments, parsed
from labrt.perform import StepFailed, Timed
from labrt.recipe import recipe
from labrt.spec import Spec

STOP_SECONDS = 3.0  # between the polite request to end and the forced one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status. No traceback reaches the user."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
        return status
    except LabError as error:
        print(f"labrt: {error}", file=sys.stderr)
        return _status(error)
    except OSError as error:
        about = f" ({error.filename})" if error.filename else ""
        remedy = "; free some room" if error.errno == errno.ENOSPC else ""
        print(f"labrt: {errno_text(error)}{about}{remedy}", file=sys.stderr)
        return NOT_STARTED
    except KeyboardInterrupt:
        print("labrt: interrupted; everything is undone", file=sys.stderr)
        return 128 + signal.SIGINT


def _status(error: LabError) -> int:
    if isinstance(error, StepFailed) and error.step.name == "Exec":
        return NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
    return NOT_STARTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="labrt", description="A container runtime to read.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = commands.add_parser("run", add_help=False, help="run a program in a new container")
    _container_options(run)
    run.add_argument("--trace", action="store_true", help="print each step with its time")
    run.set_defaults(command=_run)

    explain = commands.add_parser("explain", add_help=False, help="print the steps; do nothing")
    _container_options(explain)
    explain.set_defaults(command=_explain)

    image = commands.add_parser("image", help="list images; build a base image")
    verbs = image.add_subparsers(metavar="VERB", required=True)
    verbs.add_parser("ls", help="list the images of the store").set_defaults(command=_image_ls)
    build = verbs.add_parser("base", help="build a base image where it is missing")
    build.add_argument("name", metavar="NAME")
    build.set_defaults(command=_image_base)

    clean = commands.add_parser("clean", help="end and remove the lab's containers")
    clean.add_argument("--dead", action="store_true", help="only those whose owner is gone")
    clean.set_defaults(command=_clean)
    return parser


def _container_options(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser)
    parser.add_argument("--help", action="help", help="show this text")
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("args", metavar="CMD", nargs=argparse.REMAINDER)


def _spec(options: argparse.Namespace) -> Spec:
    return declare(store.resolve(options.image), options.args, parsed(options))


def _run(options: argparse.Namespace) -> int:
    removal.remove_dead()
    spec = _spec(options)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with container.start(spec) as running:
        status = _attend(running)
    if options.trace:
        sys.stderr.write(trace_table(running.trace))
    return status


def _attend(running: Started) -> int:
    """Wait for the container; asked to end, ask it in turn, and not for ever."""
    try:
        status = running.wait()
    except KeyboardInterrupt:
        running.signal(signal.SIGTERM)
        if running.wait(STOP_SECONDS) is None:
            running.signal(signal.SIGKILL)
        status = running.wait()
    assert status is not None, "no time-out was given"
    return status


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _explain(options: argparse.Namespace) -> int:
    sys.stdout.write(explanation(_spec(options)))
    return 0


def explanation(spec: Spec) -> str:
    """Return the recipe as text: each step's number, side, name, man page, action and reason."""
    lines = []
    for number, step in enumerate(recipe(spec), start=1):
        lines.append(f"{number:3} {step.side:9} {step.name:24} {step.man}")
        lines.append(f"              {step.describe()}")
        lines.append(f"              why: {step.reason}")
    return "\n".join(lines) + "\n"


def trace_table(trace: Sequence[Timed]) -> str:
    """Return the performed steps as text: when each began after the first (ms), how long (µs)."""
    first = trace[0].start
    lines = [f"{'at ms':>8} {'took µs':>9}  side      step"]
    for timed in trace:
        at, took = (timed.start - first) / 1e6, timed.duration / 1e3
        lines.append(f"{at:8.3f} {took:9.1f}  {timed.side:9} {timed.name}")
    end = (trace[-1].start + trace[-1].duration - first) / 1e6
    lines.append(f"{end:8.3f}            execve")
    return "\n".join(lines) + "\n"


def _image_ls(options: argparse.Namespace) -> int:
    for name in store.names():
        print(f"{name:20} {store.resolve(name).digest}")
    return 0


def _image_base(options: argparse.Namespace) -> int:
    image = base.ensure(options.name)
    print(f"{image.name} {image.digest}")
    return 0


def _clean(options: argparse.Namespace) -> int:
    for name in removal.remove_dead() if options.dead else removal.remove_all():
        print(f"removed {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
