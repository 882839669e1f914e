"""Events: what happens to containers, one JSON line each in the run folder, oldest first.

Written with one write(2) to a file opened with O_APPEND, so that lines of several processes don't
mix. The words are Docker's: create, start, oom, die, pause, unpause, health_status, destroy.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labrt import paths
from labrt.spec import Spec

MAX_BYTES = 1 << 20  # after which the file begins anew
LOOK_SECONDS = 0.05  # between two looks for more


def _file() -> Path:
    return paths.run_dir() / f"events{paths.lab_suffix()}"


def record(spec: Spec, what: str, **more: object) -> None:
    """Append one event: when, whose, what."""
    who = {"time": time.time(), "id": spec.id, "name": spec.life.name, "event": what}
    file = str(_file())
    fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, json.dumps(who | more).encode() + b"\n")
        if os.fstat(fd).st_size > MAX_BYTES:
            os.replace(file, f"{file}.old")
    finally:
        os.close(fd)


def past() -> list[dict[str, Any]]:
    """Return the events so far; of the oldest only as many as are kept."""
    files = [Path(f"{_file()}.old"), _file()]
    texts = [file.read_text() for file in files if file.exists()]
    return [json.loads(line) for line in "".join(texts).splitlines()]


def coming() -> Iterator[dict[str, Any]]:
    """Yield the events from now on, for ever."""
    record_file = _file()
    record_file.touch(0o600)
    file = open(record_file)  # noqa: SIM115, it is exchanged below
    file.seek(0, os.SEEK_END)
    try:
        while True:
            if line := file.readline():
                yield json.loads(line)
            elif not record_file.exists() or os.path.samestat(
                os.fstat(file.fileno()), record_file.stat()
            ):
                time.sleep(LOOK_SECONDS)
            else:  # it began anew
                file.close()
                file = open(record_file)  # noqa: SIM115
    finally:
        file.close()
