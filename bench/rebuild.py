"""What it costs to build an image again: with nothing changed, and with one line changed.

    python -m bench.rebuild [--n 20] [--files 1000] [--size 10240] [--json]

The image is an application as they are everywhere: a base, what it depends on (made by a RUN), the
files of its own that seldom change, and its source. Each sample is a whole `labrt build` process;
a bare Python process takes turns with it, so that the interpreter's own share can be seen. All of
it happens in a LAB_HOME of its own, which is removed.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import standalone, units
from bench.tables import NOTHING, Table
from labrt.errors import LabError
from labrt.images import base, store
from labrt.images.store import Descriptor, Image
from labrt.state import remove_tree

CONTAINERFILE = """\
FROM busybox
WORKDIR /app
RUN seq 1000000 >/usr/dependency
COPY files files
COPY main.py .
CMD ["/bin/cat", "main.py"]
"""
BUILD = ("-m", "labrt.cli", "build", "-t", "rebuild", "--network", "none")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.rebuild", description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20, metavar="N", help="samples")
    parser.add_argument("--files", type=int, default=1000, metavar="N", help="files that stay")
    parser.add_argument("--size", type=int, default=10240, metavar="BYTES", help="of each")
    return standalone.main(parser, _measured)


def _measured(options: argparse.Namespace) -> tuple[dict[str, list[float]], Table]:
    folder = Path(tempfile.mkdtemp(prefix="lab-rebuild-"))
    os.environ |= {"LAB_HOME": f"{folder}/home", "LAB_RUN": f"{folder}/run"}
    try:
        base.ensure("busybox")
        return measure(context(folder / "context", options.files, options.size), options.n)
    finally:
        remove_tree(folder)


def context(folder: Path, files: int, size: int) -> Path:
    """Write the application; its files don't compress, and are the same every time."""
    (folder / "files").mkdir(parents=True)
    source = random.Random(1)
    for number in range(files):
        (folder / "files" / f"{number}").write_bytes(source.randbytes(size))
    (folder / "Containerfile").write_text(CONTAINERFILE)
    (folder / "main.py").write_text("print('one')\n")
    return folder


def measure(folder: Path, n: int) -> tuple[dict[str, list[float]], Table]:
    """Build once, then `n` times with nothing changed, then with one line changed.

    Returns:
        Seconds of each; and as a table, with what each build has made.
    """
    seconds: dict[str, list[float]] = {"first build": [], "python": [], "nothing changed": []}
    taken, first = built(folder)
    seconds["first build"].append(taken)
    for _ in range(n):
        seconds["python"].append(elapsed("-c", "pass"))
        seconds["nothing changed"].append(built(folder)[0])
    (folder / "main.py").write_text("print('two')\n")
    taken, changed = built(folder)
    seconds["one line changed"] = [taken]
    table = Table(f"Building again, n = {n}", ["", "median", "quartiles"])
    for name, samples in seconds.items():
        once = [name, units.text(samples[0], "s"), NOTHING]
        table.rows.append(standalone.quartiles(name, samples) if len(samples) > 1 else once)
    new = [blob for blob in changed.layers if blob not in first.layers]
    table.notes = [
        f"first build: {described(first.layers, first)}",
        f"one line changed, new: {described(new, changed)}",
    ]
    return seconds, table


def built(folder: Path) -> tuple[float, Image]:
    """Return how long a build took, s, and the image."""
    return elapsed(*BUILD, str(folder)), store.resolve("rebuild")


def described(chosen: Sequence[Descriptor], image: Image) -> str:
    total = sum(blob.size for blob in image.layers)
    return f"{len(chosen)} layers, {sum(b.size for b in chosen):,} of {total:,} bytes"


def elapsed(*arguments: str) -> float:
    """Run a Python process to its end; return the seconds.

    Raises:
        LabError: it failed.
    """
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(done.stderr.strip().rpartition("\n")[2])
    return time.perf_counter() - begun


if __name__ == "__main__":
    raise SystemExit(main())
