"""Pressure stall information: for how much of the time tasks of this host wait for a resource.

"some avg10" is the share of the last ten seconds in which at least one task had to wait.
https://docs.kernel.org/accounting/psi.html
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("/proc/pressure")
RESOURCES = ("memory", "cpu")


def unavailable() -> str | None:
    """Return why this host doesn't tell, or None if it does."""
    try:
        share("memory")
    except OSError as error:
        return (
            f"this kernel tells no pressure ({FOLDER}: {error.strerror}); boot with psi=1, "
            "or one with CONFIG_PSI"
        )
    return None


def now() -> dict[str, float]:
    """Return the share of waiting for each of `RESOURCES`, 0 to 1; empty where it isn't told."""
    try:
        return {resource: share(resource) for resource in RESOURCES}
    except OSError:
        return {}


def share(resource: str) -> float:
    """Return "some avg10" of a resource, 0 to 1.

    Raises:
        OSError: the kernel doesn't tell (ENOENT; EOPNOTSUPP: switched off).
    """
    some = (FOLDER / resource).read_text().split()
    return float(some[1].removeprefix("avg10=")) / 100
