"""Solution of the exercise uts-01."""

import labrt

mine = labrt.run("busybox", ["sleep", "600"], hostname=labrt.draw("uts-01"))
