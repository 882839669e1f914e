"""`./lab box`: builds the lab machine's disk from Debian's packages alone, for offline use.

    python -m vagrant.box [--provider libvirt|virtualbox|qemu]… [--out DIR]

    boxes/
        lab-libvirt.box, lab-virtualbox.box, lab.qcow2   what was asked for
        box.json            what it was built of, and each file's size and SHA-256
        SHA256SUMS          the same for sha256sum --check
        debian.packages     the versions in it, as vagrant/box/debian.packages pins them

Everything is built in a folder beside DIR, which takes DIR's place whole at the end. Host side, as
root: a root file system's files belong to many users.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from bench.interrupts import Interrupted, held, raised
from labrt import paths
from labrt.errors import LabError, errno_text
from labrt.images.base import debian
from labrt.state import try_lock
from vagrant.box import disk, inputs, wheels
from vagrant.box.formats import FORMATS

HERE = Path(__file__).parent
PACKAGES = HERE / "debian.packages"
DEFAULT = inputs.PROJECT / "boxes"
DEFAULT_PROVIDERS = ("libvirt", "qemu")
IMAGES = ("debian", "python")
ROOM = 8 << 30  # bytes: root file system 2.4 GB, its disk 2.6, and what it is written as; measured
PREFIX = ".boxes-"
GROUP_SECONDS = 30.0  # for mmdebstrap to end and unmount


class Parser(argparse.ArgumentParser):
    """argparse, but an error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. Remedy: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what the command line asks for; return the exit status."""
    parser = Parser(prog="lab box", description="Build the lab machine from Debian's packages.")
    parser.add_argument(
        "--provider",
        action="append",
        choices=sorted(FORMATS),
        help=f"may be repeated; default: {' and '.join(DEFAULT_PROVIDERS)}",
    )
    parser.add_argument("--out", type=Path, default=DEFAULT, metavar="DIR", help="default: boxes")
    options = parser.parse_args(arguments)
    try:
        with raised():
            build(options.provider or DEFAULT_PROVIDERS, options.out.absolute())
    except Interrupted as interrupted:
        print(f"lab box: interrupted ({interrupted}); nothing is left of it", file=sys.stderr)
        return interrupted.status
    except LabError as error:
        print(f"lab box: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"lab box: {error.filename or 'box'}: {errno_text(error)}", file=sys.stderr)
        return 1
    return 0


def build(providers: Sequence[str], out: Path) -> None:
    """Build the box for each provider into the folder `out`.

    Raises:
        LabError: it can't be done here, or a step failed; then `out` is as it was.
    """
    check(out)
    made_of = inputs.sums()  # now: who changes a file meanwhile has another version
    pins = debian.pinned(PACKAGES) if PACKAGES.exists() else {}
    with _step("Python packages, downloaded"):
        ready = wheels.ready()
    with _aside(out) as folder:
        root, raw, made = folder / "root", folder / "lab.raw", folder / "made"
        made.mkdir()
        with _step("base images"):
            _save_images(folder / "images.tar")
        with _step("root file system, with the lab set up in it"):
            _make_root(root, folder / "lab-pins", pins, ready, folder / "images.tar")
        found = debian.installed((root / "var/lib/dpkg/status").read_text())
        with _step("disk with a boot loader"):
            disk.build(root, raw)
        for provider in providers:
            with _step(f"written for {provider}"):
                FORMATS[provider](raw, disk.SIZE, made)
        if "qemu" not in providers:
            (made / "lab.qcow2").unlink(missing_ok=True)  # a step on the way to libvirt's
        _tell_other_versions(found, pins, made)
        _write_facts(made, made_of)
        _replace(out, made, folder)
    for file in sorted(out.glob("lab*")):
        print(f"lab box: {file}: {file.stat().st_size / 1e6:.0f} MB", file=sys.stderr)


def check(out: Path) -> None:
    """Refuse before any work what can't be done.

    Raises:
        LabError: not root; a tool is missing; no room; `out` holds something else.
    """
    if os.geteuid() != 0:
        raise LabError("build a box", "not root", remedy="sudo ./lab box")
    disk.check()
    if out.exists() and not (out / inputs.FACTS).exists() and any(out.iterdir()):
        told = f"it holds something else than boxes (no {inputs.FACTS})"
        raise LabError(f"build a box into {out}", told, remedy="name another folder: --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(out.parent).free
    if free < ROOM:
        told = f"{free / 1e9:.1f} GB free in {out.parent}, {ROOM / 1e9:.1f} are needed"
        raise LabError("build a box", told, remedy="free some, or name another folder: --out")


@contextmanager
def _step(what: str) -> Iterator[None]:
    print(f"lab box: {what} …", file=sys.stderr, flush=True)
    began = time.monotonic()
    yield
    print(f"lab box: {what}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """Give a folder beside `out`, gone at the end. So are those of builds that were killed."""
    for left in out.parent.glob(f"{PREFIX}*"):
        lock = try_lock(left)
        if lock is not None:
            _remove(left)
            os.close(lock)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=out.parent))
    lock = paths.lock(folder)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def _remove(folder: Path) -> None:
    """Never what is mounted in it: a step that was killed may have left something mounted."""
    subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)


def _save_images(archive: Path) -> None:
    """The base images that take the network; busybox is made in the machine by its set-up."""
    from labrt.building import bases
    from labrt.images import interchange

    for name in IMAGES:
        bases.ensure(name)
    interchange.save(str(archive), IMAGES, "oci-archive")
    archive.chmod(0o644)


def _make_root(root: Path, pins: Path, versions: dict[str, str], ready: Path, images: Path) -> None:
    pins.write_text(debian.preferences(versions))
    log = paths.home() / "logs" / "box.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as told:
        status = _run_whole([HERE / "root.sh", root, pins, ready, images], told)
    if status != 0:
        lines = log.read_text(errors="replace").splitlines()
        said = [line for line in lines if line.startswith(("E: ", "lab: "))]
        answer = "; ".join(said[-2:]) or f"root.sh ended with {status}"
        remedy = f"read {log}; is {debian.ARCHIVE} in reach?"
        raise LabError("make the root file system", answer, remedy=remedy)


def _run_whole(command: list[Path], log: IO[bytes]) -> int:
    """Run a command to its end; if we are interrupted, all that it has started ends before us:
    mmdebstrap unmounts what it has mounted."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    try:
        return process.wait()
    except BaseException:
        with held():
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            _wait_for_group(process.pid)
        raise


def _wait_for_group(group: int) -> None:
    """Until its last process has ended, and has been reaped by whoever reaps orphans here."""
    deadline = time.monotonic() + GROUP_SECONDS
    while time.monotonic() < deadline:
        try:
            os.killpg(group, signal.SIGTERM)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)


def _tell_other_versions(found: dict[str, str], pins: dict[str, str], made: Path) -> None:
    """Say where what was installed isn't what is pinned; keep the list of what was."""
    listed = "".join(f"{name}={found[name]}\n" for name in sorted(found))
    head = "# Debian 12, the lab machine: NAME=VERSION.\n"
    (made / PACKAGES.name).write_text(head + listed)
    if names := sorted({name for name, _version in found.items() ^ pins.items()}):
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        print(
            f"lab box: {len(names)} packages have other versions than pinned ({shown}): the "
            f"archive has moved on; boxes/{PACKAGES.name} has those that are in it",
            file=sys.stderr,
        )


def _write_facts(made: Path, made_of: dict[str, str]) -> None:
    files = {file.name: _facts(file) for file in sorted(made.glob("lab*"))}
    facts = {
        "built": time.strftime("%Y-%m-%d", time.gmtime()),
        "files": files,
        "inputs": made_of,
    }
    (made / inputs.FACTS).write_text(json.dumps(facts, indent=1) + "\n")
    sums = "".join(f"{each['sha256']}  {name}\n" for name, each in files.items())
    (made / "SHA256SUMS").write_text(sums)


def _facts(file: Path) -> dict[str, object]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, "bytes": file.stat().st_size}


def _replace(out: Path, made: Path, folder: Path) -> None:
    """Two renames: who looks in between finds no box, and never half a one (rename(2))."""
    if owner := os.environ.get("SUDO_UID"):
        for path in [made, *made.iterdir()]:
            os.chown(path, int(owner), int(os.environ["SUDO_GID"]))
    made.chmod(0o755)
    if out.exists():
        out.rename(folder / "old")
    made.rename(out)


if __name__ == "__main__":
    sys.exit(main())
