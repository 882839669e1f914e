"""Before and after: what has changed between two looks at the kernel's state.

A look is any text: a file of /proc or of cgroupfs, a command's output.
"""

from __future__ import annotations

import difflib
from itertools import islice

from labrt.lessons.shown import Shown, paragraph

UNCHANGED = "Nothing has changed."


def diff(before: str, after: str) -> Shown:
    """Return the lines that have gone (-) and come (+), each with nothing around it."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    _two_names, changed = list(islice(lines, 2)), [line for line in lines if line[0] != "@"]
    if not changed:
        return paragraph(UNCHANGED)
    text = "\n".join(changed)
    fence = "`" * (max(3, _longest_run(text, "`") + 1))
    return Shown(text, f"{fence}diff\n{text}\n{fence}")


def _longest_run(text: str, letter: str) -> int:
    longest = 0
    while letter * (longest + 1) in text:
        longest += 1
    return longest
