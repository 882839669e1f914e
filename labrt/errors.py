"""The one error a user of the lab sees: what was tried, the answer, the cause, the remedy."""

from __future__ import annotations

import os


class LabError(Exception):
    """A failure told to a person, in one line.

    Args:
        tried: what was being done ("mount overlay on /merged").
        answer: what the kernel or tool answered ("EPERM: Operation not permitted").
        cause: the likely cause on this host, or "" if unknown.
        remedy: what the user can do, or "" if unknown.

    Attributes:
        errno: the kernel's answer where it was the kernel's, else 0.
        step_name: the step of the recipe that failed, "" for none.
    """

    errno = 0
    step_name = ""

    def __init__(self, tried: str, answer: str = "", cause: str = "", remedy: str = "") -> None:
        super().__init__(tried, answer, cause, remedy)
        self.tried = tried
        self.answer = answer
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        line = self.tried
        if self.answer:
            line += f": {self.answer}"
        if self.cause:
            line += f" ({self.cause})"
        if self.remedy:
            line += f". Remedy: {self.remedy}"
        return line


def errno_text(error: OSError) -> str:
    """Name an OSError as man pages do: "EPERM: Operation not permitted"."""
    import errno

    number = error.errno or 0
    return f"{errno.errorcode.get(number, number)}: {os.strerror(number)}"


def warn(message: str) -> None:
    """Tell what went wrong without stopping what is being done."""
    import logging  # seldom needed

    logging.getLogger("labrt").warning(message)
