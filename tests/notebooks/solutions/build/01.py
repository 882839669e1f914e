"""Solution of the exercise build-01."""

import tempfile
from pathlib import Path

import labrt

name = labrt.draw("build-01")
with tempfile.TemporaryDirectory() as folder:
    Path(folder, name).touch()
    Path(folder, "Containerfile").write_text(f"FROM busybox\nCOPY {name} /srv/\n")
    labrt.build(folder, "mine")
mine = labrt.run("mine", ["sleep", "600"])
