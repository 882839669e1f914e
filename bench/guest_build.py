"""How long an image takes to become a bootable guest, against the file-system tool alone.

    python -m bench.guest_build [--image NAME] [--n 8]

The tool alone gets the same files as one tar archive that is ready and waiting; the whole takes the
image's layers, verified and uncompressed, and gives disk and initramfs. The two take turns, in one
run, so a drift of the machine's speed meets both. Processor time is told beside the time on the
clock, because on a machine that has other work it is the steadier of the two.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import guest, guest_disk
from labrt.errors import LabError
from labrt.images import base, flattening, store
from labrt.images.store import Image

Times = dict[str, list[tuple[float, float]]]


def main() -> int:
    """Measure and print; exit status 1 with one line where no guest can be built."""
    parser = argparse.ArgumentParser(prog="bench.guest_build")
    parser.add_argument("--image", default="busybox", help="default: %(default)s")
    parser.add_argument("--n", type=int, default=8, metavar="N", help="builds of each")
    options = parser.parse_args()
    try:
        image = (
            base.ensure("busybox") if options.image == "busybox" else store.resolve(options.image)
        )
        print_figures(image, *measure(image, options.n))
    except LabError as error:
        print(f"guest_build: {error}", file=sys.stderr)
        return 1
    return 0


def measure(image: Image, n: int) -> tuple[Times, dict[str, int]]:
    """Build `n` times each way, in turns, after one build of each as a warm-up.

    Returns:
        Seconds of each, on the clock and of processors; and bytes: of the archive, the disk and the
        initramfs.
    """
    seconds: Times = {"tool": [], "whole": []}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        home = Path(folder)
        archive = home / "archive.tar"
        with archive.open("wb") as stream:
            flattening.write(flattening.members(image), stream)
        for number in range(-1, n):
            tool = _spent(lambda: _tool_alone(archive, home / "alone"))
            whole = _spent(lambda: guest.build(image, root="disk", folder=home / "guests"))
            built = guest.build(image, root="disk", folder=home / "guests")
            assert built.disk is not None, "asked for"
            sizes = {
                "archive": archive.stat().st_size,
                "disk": built.disk.stat().st_size,
                "initramfs": built.initramfs.stat().st_size,
            }
            built.initramfs.unlink()
            built.disk.unlink()
            if number >= 0:
                seconds["tool"].append(tool)
                seconds["whole"].append(whole)
    return seconds, sizes


def _tool_alone(archive: Path, disk: Path) -> None:
    with archive.open("rb") as stream:
        quiet = subprocess.DEVNULL
        subprocess.run(guest_disk.command(disk), stdin=stream, stdout=quiet, stderr=quiet)
    os.unlink(disk)


def _spent(call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that a call takes, on the clock and of processors."""
    begun, used = time.perf_counter(), _processor_time()
    call()
    return time.perf_counter() - begun, _processor_time() - used


def _processor_time() -> float:
    """Return what this process and the children that it has waited for have used (times(2))."""
    return sum(os.times()[:4])


def print_figures(image: Image, seconds: Times, sizes: dict[str, int]) -> None:
    """Print medians, ranges, the ratios of the medians, and sizes."""
    print(
        f"{image.name}: " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
    )
    medians = {}
    for name, title in (("tool", f"{guest_disk.TOOL} alone"), ("whole", "image to bootable guest")):
        clock, processor = zip(*seconds[name], strict=True)
        medians[name] = statistics.median(clock), statistics.median(processor)
        print(
            f"{title:24} median {medians[name][0]:6.3f} s   {min(clock):.3f} to {max(clock):.3f}   "
            f"n {len(clock)}   processors {medians[name][1]:.3f} s"
        )
    times = [whole / tool for whole, tool in zip(medians["whole"], medians["tool"], strict=True)]
    print(
        f"the whole takes {times[0]:.2f} times as long as the tool alone, {times[1]:.2f} the work"
    )


if __name__ == "__main__":
    raise SystemExit(main())
