"""Solution of the exercise first-01."""

import labrt

mine = labrt.run("busybox", ["sleep", labrt.draw("first-01")])
