"""What a class predicted and which exercises it solved, from the ledgers that students hand in.

    ./lab class report DIR…      every *.json below these folders; --names, --json

A ledger comes from a student: it is read with distrust, and one that is none is told and left out.
Nobody is named unless asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from labrt import tables
from labrt.errors import LabError
from labrt.lessons.ledger import SCHEMA, Entry
from labrt.lessons.lesson import Check, Lesson, Prediction, lessons

LARGEST = 16 << 20  # bytes of one ledger
BAR = 20  # characters for a whole class


@dataclass(frozen=True)
class Student:
    """One ledger."""

    name: str
    entries: list[Entry]

    def of(self, kind: str, identity: str) -> list[Entry]:
        return [e for e in self.entries if e.get("kind") == kind and e.get("id") == identity]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="lab class report", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="collected ledgers")
    parser.add_argument("--names", action="store_true", help="a line for each student, too")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    try:
        students, refused = gather(options.folders)
    except LabError as error:
        print(f"lab class: {error}", file=sys.stderr)
        return 1
    for reason in refused:
        print(f"lab class: left out: {reason}", file=sys.stderr)
    if options.json:
        print(json.dumps(figures(students, options.names), indent=1))
    else:
        print(text(students, options.names), end="")
    return 0


def gather(folders: Sequence[Path]) -> tuple[list[Student], list[str]]:
    """Read all ledgers; return them, and why others were left out. Two with one name are two
    students only if they were drawn different seeds; else the longer one counts.

    Raises:
        LabError: a folder that is none, or not one ledger in any.
    """
    found: dict[tuple[str, str], Student] = {}
    refused = []
    for file in _files(folders):
        try:
            seed, student = read(file)
        except LabError as error:
            refused.append(str(error))
            continue
        key = student.name, seed
        if key not in found or len(found[key].entries) < len(student.entries):
            found[key] = student
    if not found:
        raise LabError(
            "read the class's ledgers", "found none", remedy="name the folder they are in"
        )
    return [found[key] for key in sorted(found)], refused


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        if not folder.is_dir():
            raise LabError(f"read {folder}", "no such folder", remedy="name a folder of ledgers")
        yield from sorted(folder.rglob("*.json"))


def read(file: Path) -> tuple[str, Student]:
    """Read one ledger; return its seed and its student.

    Raises:
        LabError: it is none.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError("too large")
        value = json.loads(file.read_text())
        if value["schema"] != SCHEMA or not isinstance(value["entries"], list):
            raise ValueError(f"not of schema {SCHEMA}")
        name, seed = value["student"], value["seed"]
        whole = all(isinstance(entry, dict) for entry in value["entries"])
        if not (isinstance(name, str) and isinstance(seed, str) and whole):
            raise ValueError("damaged")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LabError(f"read {file}", f"no ledger: {error}") from error
    return seed, Student(
        "".join(letter for letter in name if letter.isprintable())[:64], value["entries"]
    )


# ---------------------------------------------------------------------------------------------
# What is counted


def predicted(student: Student, item: Prediction) -> str | None:
    """Return what a student said before the outcome was first shown; None if nothing."""
    said = None
    for entry in student.entries:
        if entry.get("id") != item.id:
            continue
        if entry.get("kind") == "outcome":
            break
        if entry.get("kind") == "prediction":
            said = _letter(entry.get("choice"), item) or said
    return said


def seen(students: Sequence[Student], item: Prediction) -> str | None:
    """Return the outcome that most students saw; None if nobody has."""
    shown = [entry.get("seen") for s in students for entry in s.of("outcome", item.id)]
    counted = Counter(letter for each in shown if (letter := _letter(each, item)))
    return counted.most_common(1)[0][0] if counted else None


def _letter(value: object, item: Prediction) -> str | None:
    return value if isinstance(value, str) and value in item.choices else None


def attempts(student: Student, item: Check) -> tuple[int, bool]:
    """Return how often a student looked until it passed first (or in all), and whether it did."""
    count = 0
    for entry in student.of("check", item.id):
        count += 1
        if entry.get("passed") is True:
            return count, True
    return count, False


def figures(students: Sequence[Student], names: bool) -> dict[str, Any]:
    """Return all counts (JSON types)."""
    found: dict[str, Any] = {"students": len(students), "lessons": {}}
    for each in lessons():
        found["lessons"][each.key] = {
            "begun": sum(bool(s.of("begin", each.key)) for s in students),
            "predictions": {item.id: _predictions(students, item) for item in each.predictions},
            "checks": {item.id: _checks(students, item) for item in each.checks},
        }
    if names:
        found["names"] = {student.name: _solved(student) for student in students}
    return found


def _predictions(students: Sequence[Student], item: Prediction) -> dict[str, Any]:
    said = Counter(predicted(student, item) for student in students)
    choices = {letter: said[letter] for letter in item.choices}
    return {"choices": choices, "seen": seen(students, item)}


def _checks(students: Sequence[Student], item: Check) -> dict[str, Any]:
    tried = [found for student in students if (found := attempts(student, item))[0]]
    passed = [count for count, ok in tried if ok]
    middle = median(passed) if passed else None
    return {"tried": len(tried), "passed": len(passed), "attempts": middle}


def _solved(student: Student) -> dict[str, int]:
    checks = [attempts(student, item)[1] for each in lessons() for item in each.checks]
    return {"solved": sum(checks), "of": len(checks)}


# ---------------------------------------------------------------------------------------------
# How it is told


def text(students: Sequence[Student], names: bool) -> str:
    """Write the report for a terminal."""
    parts = [f"{len(students)} students\n"]
    counts = figures(students, names)
    for each in lessons():
        mine = counts["lessons"][each.key]
        if mine["begun"]:
            parts.append(_lesson(each, mine))
    if names:
        rows = [(name, f"{n['solved']} of {n['of']}") for name, n in counts["names"].items()]
        parts.append(tables.table(("student", "exercises solved"), rows))
    return "\n".join(parts)


def _lesson(each: Lesson, counts: dict[str, Any]) -> str:
    lines = [f"{each.number:02} {each.title}: begun by {counts['begun']}\n"]
    for item in each.predictions:
        found = counts["predictions"][item.id]
        lines.append(f"  {item.id}\n")
        most = max(sum(found["choices"].values()), 1)
        for letter, answer in item.choices.items():
            count = found["choices"][letter]
            bar = "#" * round(BAR * count / most)
            mark = "*" if letter == found["seen"] else " "
            lines.append(f"  {mark} {letter} {count:4} {bar:{BAR}}  {answer}\n")
    for check in each.checks:
        found = counts["checks"][check.id]
        tries = "" if found["attempts"] is None else f", median of {found['attempts']:g} attempts"
        lines.append(f"  {check.id}: solved by {found['passed']} of {found['tried']}{tries}\n")
    if any(counts["predictions"][item.id]["seen"] for item in each.predictions):
        lines.append("  * what was seen\n")
    return "".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
