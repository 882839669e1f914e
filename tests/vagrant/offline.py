"""What a server fetches from the network when a class gets JupyterHub, fetched here instead: for a
machine that no network leads to."""

from __future__ import annotations

import subprocess
from pathlib import Path

from labrt.images.base import debian
from vagrant.box import wheels

SUITE = "bookworm"  # the lab machine's


def packages(names: list[str], status: str, folder: Path) -> Path:
    """Download Debian's packages, with all that they need and a machine hasn't; return the folder.

    Args:
        status: the machine's /var/lib/dpkg/status.
        folder: an empty one, where apt keeps what it needs, too.
    """
    (folder / "status").write_text(status)
    (folder / "sources").write_text(f"deb {debian.ARCHIVE} {SUITE} main\n")
    archives = folder / "archives"
    for needed in (archives / "partial", folder / "lists" / "partial"):
        needed.mkdir(parents=True)
    places = {
        "Dir::State::status": folder / "status",
        "Dir::State::lists": folder / "lists",
        "Dir::Etc::sourcelist": folder / "sources",
        "Dir::Etc::sourceparts": "-",
        "Dir::Cache": folder,
        "Dir::Cache::archives": archives,
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "--yes", "--no-install-recommends"]
    apt += [word for name, value in places.items() for word in ("-o", f"{name}={value}")]
    for words in (["update"], ["install", "--download-only", *names]):
        subprocess.run([*apt, *words], check=True, capture_output=True)
    return archives


def python_packages() -> Path:
    """Download what requirements-hub.txt names; return the folder."""
    return wheels.ready("requirements-hub.txt")
