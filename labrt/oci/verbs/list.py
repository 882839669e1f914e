"""`labrt-oci list`: the containers there are."""

from __future__ import annotations

import json
import pwd
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from labrt import tables
from labrt.oci import lifecycle
from labrt.oci.words import Option
from labrt.spec import Spec

HELP = "list the containers"
OPTIONS = (
    Option("format", "table or json", "FORMAT", short="f", default="table"),
    Option("quiet", "only their ids", short="q"),
)
OPERANDS = ""
HEADINGS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")


def main(given: SimpleNamespace) -> int:
    found = lifecycle.everything()
    if given.quiet:
        print("".join(f"{spec.id}\n" for _folder, spec in found), end="")
        return 0
    told = [_entry(folder, spec) for folder, spec in found]
    if given.format == "json":
        print(json.dumps(told))
        return 0
    names = [heading.lower() for heading in HEADINGS]
    print(tables.table(HEADINGS, [[str(each[name]) for name in names] for each in told]), end="")
    return 0


def _entry(folder: Path, spec: Spec) -> dict[str, Any]:
    created = datetime.fromtimestamp(spec.life.created, UTC)
    return {
        **lifecycle.told(folder, spec),
        "rootfs": spec.root.path,
        "created": created.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "owner": _name_of(folder.stat().st_uid),
    }


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
