"""The meter: an image with one static program that does fixed amounts of work (meter.c).

It is compiled by the host's compiler and laid upon `busybox` by the lab's own build. Its tag stands
for the source and the compiler, so it is built once. Host side.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from labrt.errors import LabError
from labrt.images import store
from labrt.images.store import Image

SOURCE = Path(__file__).with_name("meter.c")
CONTAINERFILE = Path(__file__).with_name("Containerfile")
COMPILER = ("cc", "-O2", "-static")


def unavailable() -> str | None:
    """Return why it can't be built here, with the remedy, or None."""
    if shutil.which(COMPILER[0]) is None:
        return "no C compiler; run ./lab setup (Debian packages gcc and libc6-dev)"
    return None


def image() -> Image:
    """Return the image, built on first use.

    Raises:
        LabError: no compiler, or it fails; no image busybox.
    """
    name = f"meter:{_tag()}"
    try:
        return store.resolve(name)
    except LabError:
        return _build(name)


def _tag() -> str:
    if reason := unavailable():
        raise LabError("build the image meter", reason)
    compiler = subprocess.run([COMPILER[0], "--version"], capture_output=True, check=True).stdout
    key = b"\0".join(
        [SOURCE.read_bytes(), CONTAINERFILE.read_bytes(), compiler, repr(COMPILER).encode()]
    )
    return hashlib.sha256(key).hexdigest()[:12]


def _build(name: str) -> Image:
    from labrt.building import bases
    from labrt.building.builder import Wish, build

    bases.ensure("busybox")
    with tempfile.TemporaryDirectory(prefix="lab-meter-") as folder:
        context = Path(folder)
        shutil.copy(CONTAINERFILE, context)
        _compile(context / "meter")
        return build(Wish(context, name))


def _compile(program: Path) -> None:
    command = [*COMPILER, "-o", str(program), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LabError(
            f"compile {SOURCE.name}",
            done.stderr.strip().splitlines()[0],
            remedy="apt-get install gcc libc6-dev",
        )
    program.chmod(0o755)  # whatever the umask
