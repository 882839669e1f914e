"""Solution of the exercise security-01."""

import labrt

both = tuple(labrt.draw("security-01").split())
mine = labrt.run("busybox", ["sleep", "600"], cap_drop=("ALL",), cap_add=both)
