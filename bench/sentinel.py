"""The sentinel: a process and a file of the host, for instances to find or not to find.

It ends and removes its file when its standard input closes, so also when the bench is killed.
Host side.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Renames itself (proc_pid_comm(5)), makes the file, and waits with what the shell itself has.
SCRIPT = 'echo "sentinel-$1" >/proc/$$/comm; echo "$1" >"$2"; echo there; read -r _; rm -f "$2"'


@contextmanager
def standing(token: str, file: Path) -> Iterator[int]:
    """Give the pid of a process "sentinel-TOKEN"; `file` holds the token meanwhile.

    Args:
        token: at most six characters: a process's name has fifteen.

    Raises:
        OSError: it could not be started.
    """
    command = ["sh", "-c", SCRIPT, "sentinel", token, str(file)]
    pipe = subprocess.PIPE
    # In a session of its own: Ctrl-C in the terminal isn't for it.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.stdin.close()
