"""What the machine's .venv is made of, downloaded on the host, where proxies, mirrors and
certificates are set up; the machine's own pip then needs no network. Kept in LAB_HOME for the next
build. Host side.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from labrt import paths
from labrt.errors import LabError

PROJECT = Path(__file__).parent.parent.parent
PYTHON = "3.11"  # Debian 12's
GLIBC = 36  # Debian 12's is 2.36: wheels for it and for older ones run there (PEP 600)
FROM_SOURCE = "libvirt-python"  # it has no wheel
CONSTRAINTS = ("requirements.txt", "constraints.txt")
BUILT_BY = ("setuptools", "wheel")  # what pip compiles it with


def ready(requirements: str = "requirements.txt") -> Path:
    """Return the folder with everything that a list of the project's needs, pinned by the others.

    Raises:
        LabError: pip couldn't download it.
    """
    folder = paths.home() / "wheels" / _key(requirements)
    if folder.is_dir():
        return folder
    new = folder.with_name(f".new-{os.getpid()}")
    try:
        new.mkdir(parents=True)
        _download(new, requirements)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


def _key(requirements: str) -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name in (requirements, *CONSTRAINTS):
        digest.update((PROJECT / name).read_bytes())
    return digest.hexdigest()[:16]


def _download(folder: Path, requirements: str) -> None:
    """In two calls: pip takes a foreign Python's wheels only where it compiles nothing."""
    lines = (PROJECT / requirements).read_text().splitlines()
    wanted = [line.partition("#")[0].strip() for line in lines]
    sources = [line for line in wanted if line.startswith(FROM_SOURCE)]
    ready_made = [line for line in wanted if line and line not in sources]
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in range(5, GLIBC + 1)]
    platforms += ["--platform=manylinux2014_x86_64", "--platform=linux_x86_64"]
    target = (f"--python-version={PYTHON}", "--implementation=cp", *platforms)
    _pip(folder, "--only-binary=:all:", *target, *ready_made, *BUILT_BY)
    for source in sources:
        _pip(folder, "--no-deps", f"--no-binary={FROM_SOURCE}", source)


def _pip(folder: Path, *words: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--dest", str(folder)]
    command += [f"--constraint={name}" for name in CONSTRAINTS]
    command += words
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise LabError(
            "download the machine's Python packages",
            (said or done.stderr.splitlines() or ["pip says nothing"])[-1],
            remedy="is the package index in reach? pip download pip tells",
        )
