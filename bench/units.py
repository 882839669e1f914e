"""How numbers are written for people: three significant digits and a unit that fits."""

from __future__ import annotations

import math

_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def text(value: float, unit: str) -> str:
    """Write a value in its row's unit: "s" and "B" are scaled, others are left alone.

    >>> text(0.00213, "s"), text(70_000_000, "B"), text(3e9, "B/s"), text(5, "1")
    ('2.13 ms', '66.8 MiB', '2.79 GiB/s', '5')
    """
    scale, name = scale_of(value, unit)
    return f"{digits(value / scale)} {name}".rstrip()


def span(low: float, high: float, unit: str) -> str:
    """Write an interval in one unit, that of its larger end.

    >>> span(0.0021, 0.0135, "s"), span(-100_000, 2_000_000, "B")
    ('2.10 – 13.5 ms', '-0.0954 – 1.91 MiB')
    """
    scale, name = scale_of(max(abs(low), abs(high)), unit)
    return f"{digits(low / scale)} – {digits(high / scale)} {name}".rstrip()


def plus_minus(middle: float, reach: float, unit: str) -> str:
    """Write a value and how far its interval reaches, in the unit of the larger of them.

    >>> plus_minus(200_000_000, 18_000_000, "B"), plus_minus(50_000, 2_000_000, "B")
    ('191 ± 17.2 MiB', '0.0477 ± 1.91 MiB')
    """
    scale, name = scale_of(max(abs(middle), abs(reach)), unit)
    return f"{digits(middle / scale)} ± {digits(reach / scale)} {name}".rstrip()


def scale_of(value: float, unit: str) -> tuple[float, str]:
    """Return what to divide by, and the name of the unit that it makes."""
    base, slash, per = unit.partition("/")
    steps = {"s": _SECONDS, "B": _BYTES}.get(base)
    if steps is None:
        return 1.0, "" if unit == "1" else unit
    for size, name in steps:
        if abs(value) >= size:
            return float(size), name + slash + per
    return (1.0, unit) if value == 0 else (float(steps[-1][0]), steps[-1][1] + slash + per)


def digits(value: float) -> str:
    """Write three significant digits, without an exponent up to a million.

    >>> digits(12.345), digits(0.5), digits(123456), digits(4)
    ('12.3', '0.500', '123456', '4')
    """
    if value == 0 or (float(value).is_integer() and abs(value) < 1e6):
        return str(int(value))
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}"
