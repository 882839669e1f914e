"""What a box is made of: by it, a box of an older version of the project is recognised.

`box.json` beside the box holds each file's SHA-256; the Vagrantfile and `./lab machine` compare.
The rest of the project isn't in the list: it is copied into the machine at each start.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent
PARTS = (
    "vagrant",
    "setup",
    "requirements.txt",
    "constraints.txt",
    "bench/guest_kernel.py",  # which modules the lab's own guests have
)
FACTS = "box.json"


def sums() -> dict[str, str]:
    """Return each input's SHA-256, by its path in the project."""
    return {str(file.relative_to(PROJECT)): _sum(file) for file in _files()}


def outdated(box: Path) -> list[str]:
    """Return the inputs that have changed since the box in folder `box` was built."""
    built: dict[str, str] = json.loads((box / FACTS).read_text())["inputs"]
    now = sums()
    return sorted(name for name, sum in built.items() if now.get(name) != sum)


def _files() -> list[Path]:
    found = (file for part in PARTS for file in [PROJECT / part, *(PROJECT / part).rglob("*")])
    return sorted(file for file in found if file.is_file() and "__pycache__" not in file.parts)


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
