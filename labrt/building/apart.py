"""Building from any process, threaded or not: `labrt.build`.

A build clones, which a process with threads (a notebook's) can't do safely. So it is a process of
its own: the command line's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labrt.errors import LabError
from labrt.images import store
from labrt.images.store import Image


def build(
    folder: str | os.PathLike[str],
    tag: str,
    *,
    build_args: Mapping[str, str] | None = None,
    **options: Any,
) -> Image:
    """Build an image from a Containerfile; what happens is told on this process's standard error.

    Args:
        folder: the context.
        tag: the image's name.
        build_args: values for the Containerfile's ARGs.
        options: as of `labrt build`: file="…", target="…", no_cache=True, network="none",
            memory="256m", …

    Raises:
        LabError: it could not be built.
    """
    asked = [f"--build-arg={name}={value}" for name, value in (build_args or {}).items()]
    asked += [flag for name, value in options.items() for flag in _flags(name, value)]
    command = [sys.executable, "-P", "-m", "labrt.cli", "build", f"--tag={tag}", *asked, "--"]
    ours = [str(Path(__file__).parent.parent.parent), os.environ.get("PYTHONPATH", "")]
    with subprocess.Popen(
        [*command, os.fspath(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, ours))},
    ) as process:
        last = _tell(process)
    if process.returncode != 0:
        raise LabError(last.removeprefix("labrt: ").strip())
    return store.resolve(tag.removesuffix(":latest"))


def _flags(name: str, value: object) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool) or value is None:
        return [flag] if value else []
    values = value if isinstance(value, (list, tuple)) else [value]
    return [f"{flag}={each}" for each in values]


def _tell(process: subprocess.Popen[str]) -> str:
    """Pass on what it tells; return its last line. Interrupted, end it, and not before it is."""
    assert process.stderr is not None
    line = ""
    try:
        for line in process.stderr:
            print(line, end="", file=sys.stderr)
    except BaseException:
        process.terminate()
        raise
    return line
