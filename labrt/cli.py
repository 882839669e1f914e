"""The command line: `labrt COMMAND …`. What each command does is in `labrt/commands/COMMAND.py`.

Options are spelled as Docker and Podman spell them, and so are the exit statuses: the program's
own, 128 + N if signal N ended it, 125 if the lab could not do it, 126 if the program can't be
executed, 127 if the image hasn't got it. No traceback reaches the user.
"""

from __future__ import annotations

import argparse
import errno
import gc
import signal
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from labrt.errors import LabError, errno_text

# Exit statuses as Docker's users know them, for what happens before the program runs.
FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    name, *rest = arguments if arguments is not None else sys.argv[1:] or ["help"]
    try:
        status = _run(name, rest) if name in names() else _usage(name)
        sys.stdout.flush()
        return status
    except LabError as error:
        return _tell(str(error), _status(error))
    except BrokenPipeError:
        return _nobody_reads()
    except OSError as error:
        _give_up_output()
        about = f" ({error.filename})" if error.filename else ""
        remedy = "; free some room" if error.errno == errno.ENOSPC else ""
        return _tell(f"{errno_text(error)}{about}{remedy}", FAILED)
    except KeyboardInterrupt:
        return _tell("interrupted; everything is undone", 128 + signal.SIGINT)


def _run(name: str, rest: Sequence[str]) -> int:
    try:
        options = parser(name).parse_args(rest)
    except SystemExit:  # it has shown its help
        return 0
    status: int = _command(name).main(options)
    return status


@cache
def parser(name: str) -> argparse.ArgumentParser:
    """Return what reads the words of a command."""
    command = _command(name)
    made = _Parser(f"labrt {name}", description=command.HELP, add_help=False, formatter_class=_Help)
    made.add_argument("--help", action="help", help="show this text")
    command.arguments(made)
    return made


def needs_own_process(words: Sequence[str]) -> bool:
    """Whether the fork server can't do a command: it ends by it."""
    return words[:1] in (["clean"], ["forkserver"])


def leaves_process(words: Sequence[str]) -> bool:
    """Whether the caller must be the one who clones; what is left here is the shared launcher's."""
    return False


class _Help(argparse.HelpFormatter):
    """Of a fixed width: argparse makes one for each option, and each would ask the terminal's."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


class _Parser(argparse.ArgumentParser):
    """Tells what is wrong in one line, as everything else does."""

    def error(self, message: str) -> NoReturn:
        raise LabError("read the command line", message, remedy=f"{self.prog} --help")


def names() -> list[str]:
    """Return the commands there are."""
    folder = Path(__file__).parent / "commands"
    return sorted(file.stem for file in folder.glob("[a-z]*.py"))


def _command(name: str) -> ModuleType:
    return import_module(f"labrt.commands.{name}")  # only this one: imports cost time


def _tell(message: str, status: int) -> int:
    print(f"labrt: {message}", file=sys.stderr)
    return status


def _nobody_reads() -> int:
    """As other programs whose reader (`| head`) has gone."""
    _give_up_output()
    return 128 + signal.SIGPIPE


def _give_up_output() -> None:
    """What couldn't be written is tried once more at the end of Python, which would complain."""
    sys.stdout = None


def _status(error: LabError) -> int:
    if error.step_name == "Exec":
        return NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
    return FAILED


def _usage(name: str) -> int:
    wanted = name in ("help", "-h", "--help")
    lines = [f"  {each:10} {_command(each).HELP}" for each in names()]
    text = "\n".join(["usage: labrt COMMAND [ARGUMENTS]", "", *lines])
    if wanted:
        print(text)
        return 0
    return _tell(f'no command is called "{name}"; labrt help lists them', FAILED)


def start() -> None:
    """Be the program."""
    gc.disable()  # a command is short: to look for garbage, at its end too, takes a tenth of it
    ended = main()
    gc.freeze()
    sys.exit(ended)


if __name__ == "__main__":
    start()
