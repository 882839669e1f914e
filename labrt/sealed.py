"""Sealed: a program's copy in memory that nobody can write any more (F_ADD_SEALS(2const)).

A container's process runs such a one before it is the container's own program: `interpreter.py`
tells why.
"""

from __future__ import annotations

import fcntl
import os
import sys

_ALL_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed_copy(file: str | os.PathLike[str] = sys.executable) -> int:
    """Return a descriptor of a program's sealed copy, to execute by /proc/self/fd/N; default: this
    interpreter's."""
    fd = os.memfd_create(os.path.basename(file), os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(file, "rb") as program:
        size = os.fstat(program.fileno()).st_size
        while size > 0:
            size -= os.sendfile(fd, program.fileno(), None, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _ALL_SEALS)
    return fd
