"""Solution of the exercise claims-02."""

import labrt

name = labrt.draw("claims-02")
counterexample = labrt.run("busybox", ["sleep", "600"], hostname=name, ipc="host")
