"""`debian`: what Debian calls minbase, made by mmdebstrap(1) from Debian's own archive.

`debian.packages` pins every package's version. The archive keeps one version of each, though, and
takes the next at a point release: then the image is made of what there is, and that is told.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from labrt.errors import LabError
from labrt.images import making
from labrt.images.store import Image

SUITE = "bookworm"
ARCHIVE = "http://deb.debian.org/debian"
PACKAGES = Path(__file__).with_name("debian.packages")
EPOCH = "1686355200"  # of every file's time, at the latest: Debian 12's release, 2023-06-10

# /bin is a link to /usr/bin from the beginning: no package that makes it one, and no perl for it.
_MERGED = ("--include=usr-is-merged", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr")
# What a container doesn't need or gets from labrt. The licences stay.
_LEFT_OUT = (
    *("--skip=output/dev", '--customize-hook=rm "$1"/etc/resolv.conf "$1"/etc/hostname'),
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)


def build() -> Image:
    """Build `debian` and name it in the store.

    Raises:
        LabError: no mmdebstrap on this host, or it failed.
    """
    with tempfile.TemporaryDirectory(prefix="lab-debian-") as folder:
        archive = Path(folder, "root.tar")
        _bootstrap(archive, Path(folder, "pins"))
        tell_other_versions(versions(archive))
        with archive.open("rb") as root:
            layer = making.layer(lambda stream: shutil.copyfileobj(root, stream))
    history = [{"created_by": "labrt image base debian"}]
    return making.image("debian", [layer], {**making.config(["/bin/bash"]), "history": history})


def _bootstrap(archive: Path, pins: Path) -> None:
    pins.write_text(preferences(pinned(PACKAGES)))
    command = ["mmdebstrap", "--variant=minbase", "--format=tar", *_MERGED, *_LEFT_OUT]
    command += [f"--setup-hook=copy-in {pins} /etc/apt/preferences.d"]
    command += ['--customize-hook=rm "$1"/etc/apt/preferences.d/pins']
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            [*command, SUITE, archive, ARCHIVE], capture_output=True, text=True, env=environment
        )
    except FileNotFoundError:
        raise LabError(
            "build the image debian", "no mmdebstrap", remedy="apt-get install mmdebstrap"
        ) from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith(("E: ", "W: "))]
        raise LabError(
            "build the image debian",
            "; ".join(errors[-2:]) or f"mmdebstrap ended with {done.returncode}",
            f"{ARCHIVE} can't be reached, or a normal user lacks newuidmap",
        )


def preferences(pins: dict[str, str]) -> str:
    """Return apt_preferences(5) for versions by name; what isn't there is not asked for."""
    record = "Package: {}\nPin: version {}\nPin-Priority: 1001\n\n"
    return "".join(record.format(*pin) for pin in pins.items())


def pinned(packages: Path) -> dict[str, str]:
    """Return the pinned packages' versions, by name."""
    lines = packages.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def versions(archive: Path) -> dict[str, str]:
    """Return the versions of the packages installed in an archive's root, by name."""
    with tarfile.open(archive) as root:
        status = root.extractfile("./var/lib/dpkg/status")
        assert status is not None, "dpkg's status is a file"
        return installed(status.read().decode())


def installed(status: str) -> dict[str, str]:
    """Return the packages' versions, by name, from the text of /var/lib/dpkg/status."""
    records = status.split("\n\n")
    fields = [dict(_field(line) for line in record.splitlines()) for record in records if record]
    return {each["Package"]: each["Version"] for each in fields}


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name, value


def tell_other_versions(found: dict[str, str]) -> None:
    """Say so where what was installed is not what is pinned."""
    if names := sorted({name for name, _version in found.items() ^ pinned(PACKAGES).items()}):
        print(
            f"labrt: debian has other versions than pinned of {', '.join(names)}: the archive has "
            "moved on, and its digest is another than that of an earlier build",
            file=sys.stderr,
        )
