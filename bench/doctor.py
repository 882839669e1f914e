"""`./lab doctor`: what this host can do, and the remedy where it can't.

    python -m bench.doctor [--json]

Exit status 0 if the main job (`./lab bench`) can run, 1 if something it needs is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from bench.checks import CHECKS, Finding, State

SYMBOLS: dict[State, str] = {"ok": "✔", "limited": "!", "missing": "✘"}
COLOURS: dict[State, str] = {"ok": "32", "limited": "33", "missing": "31"}  # ECMA-48 SGR


def can_run(findings: Sequence[Finding]) -> bool:
    """Whether nothing that the main job needs is missing."""
    return all(finding.state != "missing" for finding in findings)


def as_text(findings: Sequence[Finding], colour: bool) -> str:
    """Return aligned lines: symbol, word, topic, what was found; the remedy under it."""
    width = max(len(finding.topic) for finding in findings)
    lines = []
    for finding in findings:
        mark = f"{SYMBOLS[finding.state]} {finding.state:7}"
        if colour:
            mark = f"\033[{COLOURS[finding.state]}m{mark}\033[0m"
        lines.append(f"{mark}  {finding.topic:{width}}  {finding.found}")
        if finding.remedy:
            lines.append(f"{'':9}  {'':{width}}  remedy: {finding.remedy}")
    lines.append("")
    lines.append(verdict(findings))
    return "\n".join(lines) + "\n"


def verdict(findings: Sequence[Finding]) -> str:
    """Return the last line: whether ./lab bench can run."""
    missing = [finding.topic for finding in findings if finding.state == "missing"]
    if missing:
        return f"./lab bench can't run here yet; missing: {', '.join(missing)}"
    return "./lab bench can run here"


def as_json(findings: Sequence[Finding]) -> str:
    """Return the same for machines."""
    report = {"ok": can_run(findings), "checks": [asdict(finding) for finding in findings]}
    return json.dumps(report, indent=2) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask everything and print the answers."""
    parser = argparse.ArgumentParser(prog="lab doctor", description="What can this host do?")
    parser.add_argument("--json", action="store_true", help="for machines")
    options = parser.parse_args(arguments)
    findings = [check() for check in CHECKS]
    if options.json:
        sys.stdout.write(as_json(findings))
    else:
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr] # not every locale has ✔
        sys.stdout.write(as_text(findings, sys.stdout.isatty()))
    return 0 if can_run(findings) else 1


if __name__ == "__main__":
    sys.exit(main())
