"""One thin file per verb of `./lab bench`: HELP, its arguments, and `main`, which returns the exit
status. The file's name is the verb's; a new verb is one new file. Without a verb, a run is done."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from bench.registry import names_in

T = TypeVar("T")

RESULTS = Path(__file__).parent.parent.parent / "results"


def names() -> list[str]:
    """Return the verbs there are."""
    return names_in(__name__)


def find(name: str) -> ModuleType:
    """Return a verb's module; only this one is imported, for imports cost time."""
    return importlib.import_module(f"{__name__}.{name}")


def several(read: Callable[[str], T]) -> Callable[[str], list[T]]:
    """Return a reader of values with commas between them, each of them once."""
    return lambda text: list(dict.fromkeys(read(each) for each in text.split(",")))


def size(text: str) -> int:
    """Read a size as Docker spells it, "64m" (or "64MiB"); argparse makes one line of the error."""
    from labrt import limits
    from labrt.errors import LabError

    try:
        return int(limits.size(text.removesuffix("iB")))
    except LabError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 64m or 1g") from None


def cpus(text: str) -> float:
    """Read a number of CPUs, the last of which may be a part of one."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) and 0.01 <= float(text) < 10_000:
        return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of CPUs, 0.01 or more")


def positive(text: str) -> int:
    """Read a whole number above zero; argparse makes one line of the error."""
    if not (text.isascii() and text.isdecimal()) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)
