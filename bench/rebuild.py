"""What it costs to build an image again: with nothing changed, and with one line changed.

    python -m bench.rebuild [--n 20] [--files 1000] [--size 10240]

The image is an application as they are everywhere: a base, what it depends on (made by a RUN), the
files of its own that seldom change, and its source. Each sample is a whole `labrt build` process;
a bare Python process takes turns with it, so that the interpreter's own share can be seen. All of
it happens in a LAB_HOME of its own, which is removed.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

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
    """Measure and print; exit status 1 with one line where nothing can be built."""
    parser = argparse.ArgumentParser(prog="bench.rebuild", description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20, metavar="N", help="samples")
    parser.add_argument("--files", type=int, default=1000, metavar="N", help="files that stay")
    parser.add_argument("--size", type=int, default=10240, metavar="BYTES", help="of each")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lab-rebuild-"))
    os.environ |= {"LAB_HOME": f"{folder}/home", "LAB_RUN": f"{folder}/run"}
    try:
        base.ensure("busybox")
        measure(context(folder / "context", options.files, options.size), options.n)
    except LabError as error:
        print(f"rebuild: {error}", file=sys.stderr)
        return 1
    finally:
        remove_tree(folder)
    return 0


def context(folder: Path, files: int, size: int) -> Path:
    """Write the application; its files don't compress, and are the same every time."""
    (folder / "files").mkdir(parents=True)
    source = random.Random(1)
    for number in range(files):
        (folder / "files" / f"{number}").write_bytes(source.randbytes(size))
    (folder / "Containerfile").write_text(CONTAINERFILE)
    (folder / "main.py").write_text("print('one')\n")
    return folder


def measure(folder: Path, n: int) -> None:
    """Build once, then `n` times with nothing changed, then with one line changed; print."""
    (seconds, first) = built(folder)
    print(f"first build        {seconds * 1e3:7.0f} ms   {described(first.layers, first)}")
    seconds_of: dict[str, list[float]] = {"python": [], "nothing changed": []}
    for _ in range(n):
        seconds_of["python"].append(elapsed("-c", "pass"))
        seconds_of["nothing changed"].append(built(folder)[0])
    for name, values in seconds_of.items():
        low, middle, high = (value * 1e3 for value in statistics.quantiles(values, n=4))
        print(f"{name:18} {middle:7.0f} ms   quartiles {low:.0f} {high:.0f}")
    (folder / "main.py").write_text("print('two')\n")
    seconds, changed = built(folder)
    new = [blob for blob in changed.layers if blob not in first.layers]
    print(f"one line changed   {seconds * 1e3:7.0f} ms   new: {described(new, changed)}")


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
