"""Solution of the exercise against-02."""

import labrt

name = labrt.draw("against-02")
boxes = [labrt.run("busybox", ["sleep", "600"], hostname=name) for _ in range(20)]
