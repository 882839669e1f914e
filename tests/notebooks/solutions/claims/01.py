"""Solution of the exercise claims-01."""

import labrt

name = labrt.draw("claims-01")
one = labrt.run("busybox", ["sleep", "600"], hostname=name, read_only=True)
two = labrt.run("busybox", ["sleep", "600"], hostname=name)
