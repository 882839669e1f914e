"""Execute a notebook from top to bottom, as a student's "run all" does.

    python -m tests.notebooks.execute NOTEBOOK OUTPUT

A process of its own, so that a test can run it as another user. Ends at the first cell that fails,
with its message; what was executed by then is written all the same.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# With this package jsonschema, which nbformat imports, could check URIs; notebooks have none. It
# compiles a grammar whenever it is imported: 0.8 of the 1.1 s that this process took to come up.
sys.modules["rfc3987_syntax"] = None

import nbformat  # noqa: E402
from nbclient import NotebookClient  # noqa: E402
from nbclient.exceptions import CellExecutionError  # noqa: E402

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
CELL_SECONDS = 120 * float(os.environ.get("LAB_TEST_PATIENCE", "1"))  # as in classroom.py


def main(source: str, target: str) -> int:
    """Execute `source` in the folder of the notebooks; write it with its outputs to `target`."""
    notebook = nbformat.read(source, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=int(CELL_SECONDS),
        startup_timeout=int(CELL_SECONDS),  # of the kernel
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        nbformat.write(notebook, target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
