"""How long an image takes to become a bootable guest, against the file-system tool alone.

    python -m bench.guest_build [--image NAME] [--n 8] [--json]

The whole takes the image's layers, verified and uncompressed, and gives disk and initramfs. The
tool alone gets the same files as one layer, compressed as layers are (it uncompresses it itself),
and as a tar that is ready. The three take turns, in one run, so a drift of the machine's speed
meets all. Processor time is told beside the time on the clock, because on a machine that has other
work it is the steadier of the two.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import guest, guest_disk, standalone, units
from bench.tables import Table
from labrt.images import base, flattening, store
from labrt.images.store import Image

TITLES = {
    "layer": f"{guest_disk.TOOL} alone, from a layer",
    "archive": f"{guest_disk.TOOL} alone, from a tar",
    "whole": "image to bootable guest",
}
Times = dict[str, list[tuple[float, float]]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.guest_build")
    parser.add_argument("--image", default="busybox", help="default: %(default)s")
    parser.add_argument("--n", type=int, default=8, metavar="N", help="builds of each")
    return standalone.main(parser, _measured)


def _measured(options: argparse.Namespace) -> tuple[dict[str, object], Table]:
    image = base.ensure("busybox") if options.image == "busybox" else store.resolve(options.image)
    seconds, sizes = measure(image, options.n)
    return {"seconds": seconds, "bytes": sizes}, table(image, seconds, sizes)


def measure(image: Image, n: int) -> tuple[Times, dict[str, int]]:
    """Build `n` times each way, in turns, after one build of each as a warm-up.

    Returns:
        Seconds of each, on the clock and of processors; and bytes: of the archive, the layer, the
        disk and the initramfs.
    """
    seconds: Times = {"layer": [], "archive": [], "whole": []}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        home = Path(folder)
        archive, layer = home / "archive", home / "layer"
        with archive.open("wb") as stream:
            flattening.write(flattening.members(image), stream)
        with archive.open("rb") as plain, gzip.open(layer, "wb") as packed:
            shutil.copyfileobj(plain, packed)
        for number in range(-1, n):
            sample = {file.name: _spent(partial(_tool_alone, file)) for file in (layer, archive)}
            sample["whole"] = _spent(partial(guest.build, image, root="disk", folder=home / "made"))
            made = sorted((home / "made").iterdir())
            files = [archive, layer, *made]
            sizes = {file.suffix.lstrip(".") or file.name: file.stat().st_size for file in files}
            shutil.rmtree(home / "made")
            for name, spent in sample.items() if number >= 0 else ():
                seconds[name].append(spent)
    return seconds, sizes


def _tool_alone(source: Path) -> None:
    disk = source.with_name("alone")
    with source.open("rb") as stream:
        subprocess.run(guest_disk.command(disk), stdin=stream, check=True)
    disk.unlink()


def _spent(call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that a call takes, on the clock and of processors."""
    begun, used = time.perf_counter(), _processor_time()
    call()
    return time.perf_counter() - begun, _processor_time() - used


def _processor_time() -> float:
    """Return what this process and the children that it has waited for have used (times(2))."""
    return sum(os.times()[:4])


def table(image: Image, seconds: Times, sizes: dict[str, int]) -> Table:
    """Return the figures as a table."""
    columns = ["", "median", "least – most", "processors"]
    found = Table(f"{image.name}, n = {len(seconds['whole'])}", columns)
    medians = {}
    for name, title in TITLES.items():
        clock, processor = zip(*seconds[name], strict=True)
        medians[name] = statistics.median(clock), statistics.median(processor)
        middle, work = (units.text(median, "s") for median in medians[name])
        found.rows.append([title, middle, units.span(min(clock), max(clock), "s"), work])
    found.notes = [", ".join(f"{name} {units.text(size, 'B')}" for name, size in sizes.items())]
    for name in ("layer", "archive"):
        clock, work = (w / t for w, t in zip(medians["whole"], medians[name], strict=True))
        found.notes.append(
            f"the whole takes {clock:.2f} times as long as {TITLES[name]}, {work:.2f} the work"
        )
    return found


if __name__ == "__main__":
    raise SystemExit(main())
