"""An image with one static C program, laid upon `busybox` by the lab's own build.

The host's compiler makes the program. The image's tag stands for the source and the compiler, so it
is built once. Host side.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labrt.errors import LabError
from labrt.images import store
from labrt.images.store import Image

COMPILER = ("cc", "-O2", "-static")


def unavailable() -> str | None:
    """Return why none can be built here, with the remedy, or None."""
    if shutil.which(COMPILER[0]) is None:
        return "no C compiler; run ./lab setup (Debian packages gcc and libc6-dev)"
    return None


def kept(name: str, fill: Callable[[Path], None]) -> Image:
    """Return the image of a name; where there is none, it is built.

    Args:
        fill: writes into a folder what the build takes, the Containerfile included.

    Raises:
        LabError: it can't be built.
    """
    from labrt.building import bases
    from labrt.building.builder import Wish, build

    try:
        return store.resolve(name)
    except LabError:
        bases.ensure("busybox")
    with tempfile.TemporaryDirectory(prefix=f"lab-{name.partition(':')[0]}-") as folder:
        fill(Path(folder))
        return build(Wish(Path(folder), name))


@dataclass(frozen=True)
class StaticImage:
    """What the image NAME is made of: NAME.c, the C files beside it, and a Containerfile."""

    source: Path

    @property
    def containerfile(self) -> Path:
        return self.source.with_name("Containerfile")

    @property
    def files(self) -> list[Path]:
        """Sources and headers."""
        return sorted(self.source.parent.glob("*.[ch]"))

    def image(self) -> Image:
        """Return the image, built on first use.

        Raises:
            LabError: no compiler, or it fails; no image busybox.
        """
        return kept(f"{self.source.stem}:{self._tag()}", self._fill)

    def _tag(self) -> str:
        if reason := unavailable():
            raise LabError(f"build the image {self.source.stem}", reason)
        told = subprocess.run([COMPILER[0], "--version"], capture_output=True, check=True).stdout
        parts = [*(file.read_bytes() for file in [*self.files, self.containerfile]), told]
        return hashlib.sha256(b"\0".join([*parts, repr(COMPILER).encode()])).hexdigest()[:12]

    def _fill(self, context: Path) -> None:
        shutil.copy(self.containerfile, context)
        self.compile(context / self.source.stem)

    def compile(self, program: Path) -> None:
        """Write the program.

        Raises:
            LabError: the compiler fails.
        """
        sources = [str(file) for file in self.files if file.suffix == ".c"]
        command = [*COMPILER, "-o", str(program), *sources]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise LabError(
                f"compile {self.source.name}",
                next((line for line in lines if "error:" in line), lines[0]),
                remedy="apt-get install gcc libc6-dev",
            )
        program.chmod(0o755)  # whatever the umask
