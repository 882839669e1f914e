"""One thin file per verb of `./lab bench`: HELP, its arguments, and `main`, which returns the exit
status. The file's name is the verb's; a new verb is one new file. Without a verb, a run is done."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType

from bench.registry import names_in

RESULTS = Path(__file__).parent.parent.parent / "results"


def names() -> list[str]:
    """Return the verbs there are."""
    return names_in(__name__)


def find(name: str) -> ModuleType:
    """Return a verb's module; only this one is imported, for imports cost time."""
    return importlib.import_module(f"{__name__}.{name}")


def positive(text: str) -> int:
    """Read a whole number above zero; argparse makes one line of the error."""
    if not (text.isascii() and text.isdecimal()) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)
