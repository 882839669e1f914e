"""Solution of the exercise against-01."""

import labrt
from bench import in_notebook

size = f"{labrt.draw('against-01')}m"
pair = (
    labrt.run("busybox", ["sleep", "600"], memory=size, cpus=1),
    in_notebook.start(size, cpus=1),
)
