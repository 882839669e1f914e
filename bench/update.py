"""What has to travel when one line of a program changes: as a container image, and as a VM's disk.

    python -m bench.update [--image NAME] [--json]

The program is one file on top of NAME. Its image goes to a real registry before and after the
change: what is told are the bytes that `push` sends. The same two digests become guests' disks
(`guest_disk.py`). To be fair, a disk need not travel whole, either: rdiff(1) finds the blocks that
the other side has already, wherever they lie (the rolling checksum of rsync,
https://librsync.github.io/page_rdiff.html). The experiment `image` has the times of such a change.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from bench import guest_disk, local_registry, other_host, standalone, units
from bench.tables import NOTHING, Table
from labrt.building.builder import Wish, build
from labrt.errors import LabError
from labrt.images import flattening, registry, store
from labrt.images.store import Image

BLOCK = 4096  # bytes: a page, and a disk's block


def main() -> int:
    """Measure and print; exit status 1 with one line where it can't be measured."""
    parser = argparse.ArgumentParser(prog="bench.update", description=__doc__.splitlines()[0])
    parser.add_argument("--image", default="busybox", help="what it is built on (%(default)s)")
    return standalone.main(parser, _measured)


def _measured(options: argparse.Namespace) -> tuple[dict[str, int], Table]:
    found = measure(options.image)
    return found, table(options.image, found)


def measure(base: str) -> dict[str, int]:
    """Return bytes: of both forms whole, and of what travels at the change of one line.

    Raises:
        LabError: there is no such image, no registry or no rdiff here.
    """
    with tempfile.TemporaryDirectory(prefix="lab-update-") as folder:
        place = Path(folder)
        (place / "registry").mkdir()
        with local_registry.serving(place / "registry") as address:
            first, _sent = _pushed(place, f"{address}/program", base, 1)
            second, sent = _pushed(place, f"{address}/program", base, 2)
        found = {"image": sum(blob.size for blob in second.layers), "image, pushed": sent}
        old, new = (_disk(place, image) for image in (first, second))
        found["disk"] = new.stat().st_size
        found["disk, changed blocks"] = changed_blocks(old, new) * BLOCK
        found["disk, delta"] = _delta(old, new, place)
    return found


def _pushed(place: Path, name: str, base: str, number: int) -> tuple[Image, int]:
    """Build a version and push it; return it, and the bytes that were sent."""
    context = place / "context"
    context.mkdir(exist_ok=True)
    other_host.write_version(context, base, number)
    built = build(Wish(context, f"{name}:{number}"))
    try:
        return built, registry.push(built).sent
    finally:
        store.untag(store.found(built.name))


def _disk(place: Path, image: Image) -> Path:
    path = place / image.digest.removeprefix("sha256:")
    guest_disk.write(flattening.members(image), path)
    return path


def changed_blocks(old: Path, new: Path) -> int:
    """Return how many blocks of `new` differ from those in the same places of `old`."""
    count = 0
    with old.open("rb") as before, new.open("rb") as after:
        while block := after.read(BLOCK):
            count += block != before.read(BLOCK)
    return count


def _delta(old: Path, new: Path, place: Path) -> int:
    """Return the bytes that make `new` of `old`: the delta, and the signature that it takes.

    Raises:
        LabError: there is no rdiff.
    """
    signature, delta = place / "signature", place / "delta"
    try:
        subprocess.run(["rdiff", "-f", "signature", old, signature], check=True)
        subprocess.run(["rdiff", "-f", "delta", signature, new, delta], check=True)
    except FileNotFoundError:
        raise LabError("compare two disks", "no rdiff", remedy="apt-get install rdiff") from None
    return delta.stat().st_size + signature.stat().st_size


def table(base: str, found: dict[str, int]) -> Table:
    """Return the figures as a table."""
    shown = Table(
        f"One line changes in a program on top of {base}: what travels",
        ["", "whole", "what has changed", "by content (rdiff)"],
    )
    rows = {
        "container image": ("image", "image, pushed"),
        "VM disk": ("disk", "disk, changed blocks", "disk, delta"),
    }
    for name, figures in rows.items():
        cells = [units.text(found[each], "B") for each in figures]
        shown.rows.append([name, *cells, *[NOTHING] * (3 - len(cells))])
    shown.notes.append(
        "Of an image, what push sends to a real registry: new layers, configuration, manifest. "
        f"Of a disk, blocks of {BLOCK} bytes that differ in place; rdiff's signature and delta."
    )
    return shown


if __name__ == "__main__":
    raise SystemExit(main())
