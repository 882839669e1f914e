"""The student's record: what was predicted, what was seen, which checks passed.

    LAB_HOME/ledgers/NAME.json
        {"schema": 1, "student": NAME, "seed": …, "entries": [{"at", "kind", "id", …}, …]}

It stays on this machine. NAME is LAB_STUDENT or the user's name; the seed, drawn once at random,
makes the values of this student's exercises. A change is written aside, synced and renamed
(rename(2)), so a reader finds the file before it or after it, whole; a lock (flock(2)) lets several
notebooks write in turn.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import secrets
import time
from pathlib import Path
from typing import Any

from labrt import paths
from labrt.errors import LabError, errno_text

SCHEMA = 1

Entry = dict[str, Any]


def student() -> str:
    """Return the name that the ledger goes by.

    Raises:
        LabError: LAB_STUDENT can't be a file's name.
    """
    name = os.environ.get("LAB_STUDENT") or _user_name()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise LabError(
            f"keep a ledger for {name!r}",
            "not a plain name",
            remedy="set LAB_STUDENT to letters, digits, dots and dashes",
        )
    return name


def path(name: str = "") -> Path:
    """Return where a student's ledger is, by default one's own. The file may not exist yet."""
    return paths.home() / "ledgers" / f"{name or student()}.json"


def seed() -> str:
    """Return this student's seed, drawing it on first use."""
    return str(_changed(lambda ledger: None)["seed"])


def record(kind: str, identity: str, **facts: Any) -> None:
    """Append an entry.

    Args:
        kind: "begin", "prediction", "outcome" or "check".
        identity: the lesson's, prediction's or check's.
        facts: JSON types only.
    """
    entry = {"at": time.time(), "kind": kind, "id": identity, **facts}
    _changed(lambda ledger: ledger["entries"].append(entry))


def entries(identity: str) -> list[Entry]:
    """Return what was recorded under `identity`, oldest first."""
    return [entry for entry in _read(path())["entries"] if entry["id"] == identity]


def _changed(change: Any) -> Entry:
    """Apply `change` to the ledger and keep it; return it as it then is.

    Raises:
        LabError: the file can't be read or written.
    """
    file = path()
    try:
        paths.make_passable(paths.home())
        file.parent.mkdir(mode=0o700, exist_ok=True)
        with paths.locked(file.with_suffix(".lock")):
            before = _read(file)
            ledger = json.loads(json.dumps(before))
            change(ledger)
            if ledger != before or not file.exists():
                _replace(file, ledger)
            return dict(ledger)
    except OSError as error:
        remedy = "free some room, or set LAB_HOME to a folder of your own"
        raise LabError(f"write {file}", errno_text(error), remedy=remedy) from error


def _read(file: Path) -> Entry:
    """Return the ledger, a new one where there is none.

    Raises:
        LabError: the file is no ledger.
    """
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        new: Entry = {"schema": SCHEMA, "student": student(), "seed": secrets.token_hex(8)}
        return new | {"entries": []}
    except (OSError, ValueError) as error:
        raise _no_ledger(file, str(error)) from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise _no_ledger(file, f"not a ledger of schema {SCHEMA}")
    return found


def _no_ledger(file: Path, answer: str) -> LabError:
    return LabError(f"read {file}", answer, remedy="move the file away; a new one is begun")


def _replace(file: Path, ledger: Entry) -> None:
    aside = file.with_suffix(".new")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as handle:
        json.dump(ledger, handle, indent=1)
        handle.write("\n")
        handle.flush()
        os.fsync(handle.fileno())
    aside.replace(file)


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid-{os.geteuid()}"
