"""Execute a notebook from top to bottom, as a student's "run all" does.

    python -m tests.notebooks.execute NOTEBOOK OUTPUT

A process of its own, so that a test can run it as another user. The notebook's folder is the
working folder. Ends at the first cell that fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

CELL_SECONDS = 60


def main(source: str, target: str) -> None:
    """Execute `source`; write it with its outputs to `target`, also where a cell failed."""
    notebook = nbformat.read(source, as_version=4)
    folder = str(Path(__file__).parent.parent.parent / "notebooks")
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": folder}},
    )
    try:
        client.execute()
    finally:
        nbformat.write(notebook, target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
