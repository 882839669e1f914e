"""`busybox`: Debian's static busybox, a link for each of its applets, and `/lab/ready`, the program
it runs by default: it writes a ready mark and waits. The archive is sorted and knows no times and
no owners, so the same busybox gives the same digest."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from labrt.errors import LabError
from labrt.images import making
from labrt.images.store import Image

BUSYBOX = Path("/bin/busybox")
READY = Path(__file__).with_name("ready")
FOLDERS = ("bin", "dev", "etc", "lab", "proc", "root", "run", "sys", "tmp", "usr", "var")


def build() -> Image:
    """Build `busybox` and name it in the store.

    Raises:
        LabError: no static busybox on this host.
    """
    if not is_static(BUSYBOX):
        raise LabError(
            "build the image busybox",
            f"{BUSYBOX} is missing or not static",
            remedy="apt-get install busybox-static",
        )
    history = [{"created_by": "labrt image base busybox"}]
    config = {**making.config(["/lab/ready"]), "history": history}
    return making.make("busybox", _archive(_applets()), config)


def is_static(program: Path) -> bool:
    """Whether an ELF file asks for no interpreter, as ldd(1) would say."""
    if not program.exists():
        return False
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True)
    return "not a dynamic executable" in listed.stdout + listed.stderr


def _applets() -> list[str]:
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split() if name not in ("busybox", "[", "[[")]


def _archive(applets: list[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in FOLDERS:
            _add(archive, folder, tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755)
        _add(archive, "bin/busybox", tarfile.REGTYPE, 0o755, BUSYBOX.read_bytes())
        for name in sorted([*applets, "["]):
            _add(archive, f"bin/{name}", tarfile.SYMTYPE, 0o777, link="busybox")
        _add(archive, "etc/group", tarfile.REGTYPE, 0o644, b"root:x:0:\nnobody:x:65534:\n")
        _add(
            archive,
            "etc/passwd",
            tarfile.REGTYPE,
            0o644,
            b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        )
        _add(archive, "lab/ready", tarfile.REGTYPE, 0o755, READY.read_bytes())
    return buffer.getvalue()


def _add(
    archive: tarfile.TarFile, name: str, kind: bytes, mode: int, data: bytes = b"", link: str = ""
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.linkname = kind, mode, len(data), link
    archive.addfile(member, io.BytesIO(data))
