"""Solution of the exercise cpuset-01."""

import labrt

mine = labrt.run("busybox", ["sleep", "600"], name=labrt.draw("cpuset-01"), cpuset_cpus="0")
