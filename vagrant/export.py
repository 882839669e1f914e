"""`./lab export`: the student's work, out of the lab machine into a tar archive here.

    python -m vagrant.export [NAME] [--to FILE]

    work/       notebooks, and results/ of the bench
    ledgers/    predictions and checks (./lab class report reads a folder of them)

The machine is the one that ./lab machine runs, else Vagrant's, by its NAME. Host side.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from labrt.errors import LabError, errno_text
from vagrant import machine
from vagrant.box import inputs


def export(name: str | None, to: Path) -> int:
    """Write the work of the machine `name` into the file `to`; return how many files it has.

    Raises:
        LabError: the machine doesn't run, or what it sent is no whole archive.
    """
    new = to.with_name(f".new-{to.name}")
    try:
        with tempfile.TemporaryDirectory(prefix="lab-export-") as folder, new.open("wb") as stream:
            way = _way(name, Path(folder, "ssh-config"))
            done = subprocess.run([*way, "lab-work"], stdout=stream)
        if done.returncode != 0:
            raise LabError("fetch the work", f"the machine's lab-work ended with {done.returncode}")
        files = _count(new)
        new.rename(to)
        return files
    finally:
        new.unlink(missing_ok=True)


def _way(name: str | None, config: Path) -> list[str]:
    if name is None and machine.running():
        return machine.ssh_command()
    name = name or "lab"
    command = ["vagrant", "ssh-config", name]
    try:
        told = subprocess.run(command, cwd=inputs.PROJECT, capture_output=True, text=True)
    except FileNotFoundError:
        raise LabError("find a lab machine", "none runs", remedy="./lab machine up") from None
    if told.returncode != 0:
        raise LabError(f"find the machine {name}", "it doesn't run", remedy=f"vagrant up {name}")
    config.write_text(told.stdout)
    return ["ssh", "-F", str(config), "-o", "LogLevel=ERROR", name]


def _count(archive: Path) -> int:
    try:
        with tarfile.open(archive) as opened:
            return sum(member.isfile() for member in opened)
    except (tarfile.TarError, EOFError) as error:
        raise LabError("fetch the work", f"no whole archive arrived: {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Export; return the exit status."""
    parser = machine.Parser(prog="lab export", description="Fetch the student's work.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="of Vagrant's machine")
    parser.add_argument("--to", type=Path, metavar="FILE", help="default: lab-work-DATE.tar")
    options = parser.parse_args(arguments)
    to = options.to or Path(f"lab-work-{time.strftime('%Y%m%d-%H%M%S')}.tar")
    try:
        files = export(options.name, to)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"lab: {error.filename or 'export'}: {errno_text(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; nothing is left of it", file=sys.stderr)
        return 130
    print(f"lab: {files} files of the student's are in {to}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
