"""Solution of the exercise ipc-02."""

import labrt

one = labrt.run("busybox", ["sleep", "600"], name="one")
two = labrt.run("busybox", ["sleep", "600"], ipc="container:one", hostname=labrt.draw("ipc-02"))
