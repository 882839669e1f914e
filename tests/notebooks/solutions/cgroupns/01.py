"""Solution of the exercise cgroupns-01."""

import labrt

one = labrt.run("busybox", ["sleep", "600"], name="one")
named = labrt.draw("cgroupns-01")
two = labrt.run("busybox", ["sleep", "600"], cgroupns="container:one", hostname=named)
