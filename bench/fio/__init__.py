"""The image `fio`: the host's installed fio with the jobs of disk.fio, laid upon `busybox`.

Debian's fio is linked with the clients of four network storages (Ceph, GlusterFS, NBD, RDMA) and of
persistent memory, which bring 80 MiB of libraries; a job on a file calls none of them. In their
place the image has stand-ins: libraries of the same names, versions and functions, whose functions
end the program. So the image has 4 MiB, fits into a guest's RAM and is linked in no time.

fio lies with its libraries and their loader in one folder that may lie anywhere (ld.so(8),
--library-path): a plain process runs it where the layer is unpacked. Of what it calls, one function
is the lab's: the one that writes the marks (marks.c).

Host side. https://fio.readthedocs.io/, nm(1), ldd(1).
"""

from __future__ import annotations

import configparser
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

from bench import static_image
from labrt.errors import LabError
from labrt.images.store import Image

HERE = Path(__file__).parent
JOBS = HERE / "disk.fio"
MARKS = HERE / "marks.c"
FILES = (HERE / "Containerfile", HERE / "run.sh", JOBS, MARKS, Path(__file__))

# What fio needs for work on files: the C library's parts, zlib for its logs, and what of the kernel
# has a library (asynchronous I/O, NUMA). Everything else it is linked with gets a stand-in.
NEEDED = re.compile(r"(ld-linux.*|lib(c|m|z|aio|numa|dl|rt|pthread|gcc_s))\.so\b.*")


def unavailable() -> str | None:
    """Return why the image can't be built here, with the remedy, or None."""
    if shutil.which("fio") is None:
        return "fio is not installed; run ./lab setup (package fio)"
    if shutil.which("nm") is None:
        return "nm is not installed; run ./lab setup (package binutils, which gcc brings)"
    return static_image.unavailable()


def jobs() -> tuple[str, ...]:
    """Return the names of the jobs, in their order."""
    found = configparser.ConfigParser(allow_no_value=True, interpolation=None)
    found.read_string(JOBS.read_text())
    return tuple(name for name in found.sections() if name != "global")


def image() -> Image:
    """Return the image, built on first use.

    Raises:
        LabError: no fio, no compiler, no image busybox.
    """
    if reason := unavailable():
        raise LabError("build the image fio", reason)
    return static_image.kept(f"fio:{_tag()}", _fill)


def _tag() -> str:
    """Return what stands for all that the image is made of."""
    parts = [file.read_bytes() for file in (*FILES, program(), *libraries().values())]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[
        :12
    ]


def _fill(context: Path) -> None:
    """Write what the build takes."""
    shutil.copy(HERE / "Containerfile", context)
    folder = context / "fio"
    (folder / "lib").mkdir(parents=True)
    for source, target in ((program(), "fio"), (HERE / "run.sh", "run"), (JOBS, JOBS.name)):
        shutil.copy(source, folder / target)
        (folder / target).chmod(0o644 if source == JOBS else 0o755)
    for name, library in libraries().items():
        file = folder / "lib" / ("ld.so" if name.startswith("ld-") else name)
        if NEEDED.fullmatch(name):
            shutil.copy(library, file)
        elif name in _linked(program()):  # what only the replaced ones need goes with them
            stand_in(name, wanted_of(library), file)
        else:
            continue
        file.chmod(0o755)
    _compile(MARKS, folder / "lib" / "marks.so")


def program() -> Path:
    return Path(shutil.which("fio") or "fio")


def libraries() -> dict[str, Path]:
    """Return the shared objects that fio is run with, by the names it asks for them (ldd(1)).

    Raises:
        LabError: one isn't there.
    """
    told = _told("ldd", str(program()))
    if missing := re.search(r"(\S+) => not found", told):
        raise LabError("build the image fio", f"{missing[1]} isn't installed")
    found = re.findall(r"(?:(\S+) => )?(/\S+) \(0x", told)
    return {name or Path(path).name: Path(path) for name, path in found}


def _linked(file: Path) -> set[str]:
    """Return the names of the libraries that a program is itself linked with."""
    return set(re.findall(r"NEEDED\s+(\S+)", _told("objdump", "-p", str(file))))


def wanted_of(library: Path) -> dict[str, list[str]]:
    """Return the functions of a library that fio wants, by their version ("" without one)."""
    both = _symbols("--undefined-only", program()) & _symbols("--defined-only", library)
    found: dict[str, list[str]] = defaultdict(list)
    for name, version in sorted(both):
        found[version].append(name)
    return dict(found)


def _symbols(which: str, file: Path) -> set[tuple[str, str]]:
    """Return the dynamic symbols of a file, each with its version."""
    told = _told("nm", "--dynamic", which, str(file)).splitlines()
    pairs = (line.split()[-1].partition("@") for line in told)
    return {(name, version.lstrip("@")) for name, _, version in pairs}


def stand_in(name: str, functions: dict[str, list[str]], target: Path) -> None:
    """Compile a library whose functions end whoever calls them.

    Args:
        name: by which programs ask for it (its soname).
        functions: by their version.

    Raises:
        LabError: the compiler fails.
    """
    with tempfile.TemporaryDirectory(prefix="lab-fio-") as folder:
        source, script = Path(folder) / "stand_in.c", Path(folder) / "versions"
        every = [function for some in functions.values() for function in some]
        bodies = [f"void {function}(void) {{ __builtin_trap(); }}\n" for function in every]
        source.write_text("".join(bodies))
        blocks = (f"{v} {{ global: {'; '.join(some)}; }};\n" for v, some in functions.items() if v)
        script.write_text("".join(blocks))
        words = ["-nostdlib", "-w", "-fno-builtin", f"-Wl,-soname,{name}"]
        if script.stat().st_size:
            words.append(f"-Wl,--version-script={script}")
        _compile(source, target, *words)


def _compile(source: Path, library: Path, *words: str) -> None:
    command = ["cc", "-O2", "-shared", "-fPIC", *words, "-o", str(library), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no answer"]
        raise LabError(f"compile {library.name}", lines[0], remedy="apt-get install gcc libc6-dev")
    library.chmod(0o755)  # whatever the umask


def _told(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["no answer"]
        raise LabError(f"call {command[0]} for {command[-1]}", lines[-1]) from error
    return done.stdout
