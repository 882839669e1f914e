"""The words of a command line, as runc takes them: options with one dash or two, a value after "="
or as the next word, then operands.

Not argparse: its import takes a third of the time that a whole verb may take (docs/engines.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from labrt.errors import LabError

_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: without its dashes, "pid-file".
        help: what it is for.
        metavar: what its value is called, "" for one that is there or not.
        short: its one letter, or "".
        many: it may be there more than once.
        default: its value where it isn't there.
    """

    name: str
    help: str
    metavar: str = ""
    short: str = ""
    many: bool = False
    default: str | None = None

    @property
    def attribute(self) -> str:
        return self.name.replace("-", "_")

    def absent(self) -> object:
        """What a verb is given where it isn't there."""
        if self.many:
            return []
        return self.default if self.metavar else False

    def usage(self) -> str:
        spelled = f"-{self.short}, " if self.short else ""
        return f"  {spelled}--{self.name} {self.metavar}".ljust(32) + self.help


HELP = Option("help", "show this text", short="h")


def parse(
    command: str, words: Sequence[str], options: Sequence[Option], operands: str = ""
) -> SimpleNamespace:
    """Return what is asked for: an attribute for each option and operand.

    Args:
        command: what it is called in errors.
        operands: their names, "ID [SIGNAL]"; the last may be "[CMD…]" and takes all the rest. Then
            options end where operands begin: what follows is somebody else's.

    Raises:
        LabError: an option or an operand too many, or too few.
    """
    known = [*options, HELP]
    given = SimpleNamespace(**{each.attribute: each.absent() for each in known})
    by_name = {name: each for each in known for name in (each.name, each.short) if name}
    left, taken = list(words), []
    while left:
        word = left.pop(0)
        if word == "--":
            taken += left
            break
        if word.startswith("-") and word != "-":
            _take(command, by_name, word, left, given)
        else:
            taken.append(word)
            if operands.endswith("…]"):
                taken += left
                break
    if not given.help:
        _name(command, operands.split(), taken, given)
    return given


def _take(
    command: str,
    by_name: dict[str, Option],
    word: str,
    left: list[str],
    given: SimpleNamespace,
) -> None:
    """Take one option, and its value from the words that are left."""
    name, equals, value = word.lstrip("-").partition("=")
    option = by_name.get(name)
    if option is None:
        raise _wrong(command, f"no option is called {word.partition('=')[0]}")
    if not option.metavar:
        if equals and value not in _TRUTHS:
            raise _wrong(command, f"{word}: it takes true or false")
        setattr(given, option.attribute, _TRUTHS.get(value, True))
        return
    if not equals:
        if not left:
            raise _wrong(command, f"{word} takes a value: {option.metavar}")
        value = left.pop(0)
    if option.many:
        getattr(given, option.attribute).append(value)
    else:
        setattr(given, option.attribute, value)


def _name(command: str, names: list[str], taken: list[str], given: SimpleNamespace) -> None:
    """Give the operands their names."""
    for name in names:
        attribute = name.strip("[]…").lower()
        if name.endswith("…]"):
            setattr(given, attribute, taken)
            taken = []
        elif taken:
            setattr(given, attribute, taken.pop(0))
        elif name.startswith("["):
            setattr(given, attribute, None)
        else:
            raise _wrong(command, f"{name} is missing")
    if taken:
        raise _wrong(command, f"{taken[0]!r} is one word too many")


def _wrong(command: str, answer: str) -> LabError:
    return LabError("read the command line", answer, remedy=f"{command} --help")


def usage(command: str, about: str, options: Sequence[Option], operands: str) -> str:
    """Return the text of --help."""
    lines = [f"usage: {command} [OPTIONS] {operands}".rstrip(), "", about, ""]
    return "\n".join([*lines, *(each.usage() for each in [*options, HELP])])
