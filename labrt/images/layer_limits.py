"""How large a layer may become: a small archive can hold more than any disk takes.

Each limit may be raised by an environment variable, for a layer that one trusts.
"""

from __future__ import annotations

import os

from labrt.errors import LabError

BYTES = 16 << 30  # of the archive before compression, so of all its files, too
MEMBERS = 1_000_000
RATIO = 200  # bytes from one compressed byte; files full of zeros reach 1,000
RATIO_FROM = 64 << 20  # bytes; what is smaller may have any ratio

_NAMES = {"LAB_LAYER_BYTES": BYTES, "LAB_LAYER_MEMBERS": MEMBERS, "LAB_LAYER_RATIO": RATIO}


def limit(name: str) -> int:
    """Return the limit that the environment variable `name` sets, or its default.

    Raises:
        LabError: it is set to something else than a number.
    """
    text = os.environ.get(name) or str(_NAMES[name])
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise LabError(f"read {name}", f"{text!r} is no number")
    return int(text)


def over(tried: str, what: str, name: str) -> LabError:
    return LabError(tried, f"it has more than {what}", "a bomb", f"if you trust it, raise {name}")
