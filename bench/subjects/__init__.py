"""The subjects: each file here but `base` holds one, and bears its name.

To add one, write a file with a subclass of `Subject`; nothing else needs to know.
"""

from __future__ import annotations

import inspect

from bench.registry import load, names_in
from bench.subjects.base import Subject


def names() -> list[str]:
    """Return every subject's name, whether or not it can run here."""
    return names_in(__name__)


def make(name: str, **options: str | None) -> Subject:
    """Return a subject by name, with those of the options (connection, …) that it takes.

    Raises:
        LabError: there is none of this name; the remedy lists those there are.
    """
    found = load(__name__, name, Subject)
    takes = inspect.signature(found).parameters
    given = {key: value for key, value in options.items() if key in takes and value is not None}
    subject: Subject = found(**given)
    return subject
