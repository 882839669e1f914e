"""`labrt-oci ps ID [PS OPTION…]`: a container's processes, as the host sees them."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

from labrt.errors import LabError
from labrt.oci import lifecycle
from labrt.oci.words import Option

HELP = "list a container's processes, as the host sees them"
OPTIONS = (Option("format", "table or json", "FORMAT", short="f", default="table"),)
OPERANDS = "ID [OPTIONS…]"


def main(given: SimpleNamespace) -> int:
    _folder, spec = lifecycle.demand(given.id, "list", "created", "running", "paused")
    pids = lifecycle.own_cgroup(spec).processes()
    if given.format == "json":
        print(json.dumps(pids))
        return 0
    done = subprocess.run(["ps", *(given.options or ["-ef"])], capture_output=True, text=True)
    if done.returncode:
        raise LabError("call ps", done.stderr.strip())
    for line in chosen(done.stdout.splitlines(), {str(pid) for pid in pids}):
        print(line)
    return 0


def chosen(lines: list[str], pids: set[str]) -> list[str]:
    """Return the lines of ps(1) that are of these processes, and its headings.

    Raises:
        LabError: it told no pids.
    """
    headings = lines[0].split()
    if "PID" not in headings:
        raise LabError("choose processes", "ps told no PID", remedy="have it tell: -o pid,…")
    column = headings.index("PID")
    return [lines[0], *(line for line in lines[1:] if line.split()[column] in pids)]
