"""Solution of the exercise cpu-02."""

import labrt

many = 100 * int(labrt.draw("cpu-02"))
one = labrt.run("busybox", ["sleep", "600"])
two = labrt.run("busybox", ["sleep", "600"], cgroup_conf=[f"cpu.weight={many}"])
