"""Solution of the exercise security-01."""

import labrt

one = (labrt.draw("security-01"),)
mine = labrt.run("busybox", ["sleep", "600"], cap_drop=("ALL",), cap_add=one)
