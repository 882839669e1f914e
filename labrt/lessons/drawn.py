"""Values for exercises, drawn from a number that is a student's own (`checks.draw`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

NUMBERS = 900  # of three digits, which follow a word


def number(first: int, count: int) -> Callable[[int], str]:
    """Return what draws one of `count` numbers from `first` on."""
    return lambda own: str(first + own % count)


def name(words: Sequence[str]) -> Callable[[int], str]:
    """Return what draws one of the words with a number of three digits: "otter-217"."""

    def drawn(own: int) -> str:
        return f"{words[own % len(words)]}-{100 + own // len(words) % NUMBERS}"

    return drawn


def some(words: Sequence[str], count: int) -> Callable[[int], str]:
    """Return what draws so many different ones of the words: "awk tar"."""
    sets = list(combinations(words, count))
    return lambda own: " ".join(sets[own % len(sets)])


def address(own: int) -> str:
    """Draw an IPv4 address for private use: "10.217.31.7" (RFC 1918)."""
    return f"10.{1 + own % 250}.{1 + own // 250 % 250}.7"
