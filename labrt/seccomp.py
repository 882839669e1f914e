"""seccomp: which system calls the container may make (seccomp(2)).

Lesson: notebook 16.
"""

from __future__ import annotations

from labrt.options import Options


def chosen(wishes: Options) -> str:
    """Return the spec's `seccomp` for --security-opt and --privileged."""
    return ""
